/*
 * Decodes one JPEG with libjpeg-turbo, directly into rows of BGR, and reports missing and damaged data.
 *
 * This is C because libjpeg reports fatal errors by a callback that must not return: only longjmp leaves it. The
 * TurboJPEG interface hides that, but keeps only the first warning of a picture, so a harmless warning can hide that
 * half of the data are missing. All state belongs to one call, so a failed picture leaves nothing behind.
 */

#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h>
#include <jerror.h>

/* Keep in step with the numbers in jpeg.rs. */
enum outcome {
  DECODED = 0,
  /* libjpeg reported a fatal error; `message` has its text. */
  UNREADABLE = 1,
  /* Coded data of the picture are missing at its end. */
  TRUNCATED = 2,
  /* Coded data within the picture are missing or wrong; `message` has libjpeg's text. */
  DAMAGED = 3,
  TOO_MANY_SCANS = 4,
  TOO_SLOW = 5,
};

/* The most bytes other than padding between the coded data and the next marker. Some cameras leave a few there; more are
 * a piece of the picture in the wrong place. */
#define STRAY_BYTES 64

/* The clock is read once in this many calls of the progress monitor, which is called for each row. */
#define CALLS_PER_CLOCK_READ 64

struct decoder {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf leave;
  const JOCTET *bytes;
  /* The input ended, and the decoder was given an end marker instead. */
  int is_out_of_bytes;
  enum outcome outcome;
  int max_scans;
  struct timespec deadline;
  unsigned calls;
  char *message;
};

static struct decoder *decoder_of(j_common_ptr jpeg) { return (struct decoder *)jpeg->client_data; }

static void leave(struct decoder *decoder, enum outcome outcome) {
  decoder->outcome = outcome;
  longjmp(decoder->leave, 1);
}

/* A fatal error. */
static void on_error(j_common_ptr jpeg) {
  struct decoder *decoder = decoder_of(jpeg);
  (*jpeg->err->format_message)(jpeg, decoder->message);
  leave(decoder, decoder->is_out_of_bytes ? TRUNCATED : UNREADABLE);
}

/* A warning after which the picture is refused: libjpeg would fill the rest with grey. */
static void refuse(j_common_ptr jpeg, enum outcome outcome) {
  (*jpeg->err->format_message)(jpeg, decoder_of(jpeg)->message);
  leave(decoder_of(jpeg), decoder_of(jpeg)->is_out_of_bytes ? TRUNCATED : outcome);
}

/* True if the last `count` bytes that were read are more than padding. */
static int has_stray_bytes(const struct decoder *decoder, long count) {
  const JOCTET *end = decoder->source.next_input_byte;
  int stray = 0;
  if (count > end - decoder->bytes) count = (long)(end - decoder->bytes);
  for (const JOCTET *byte = end - count; byte < end; byte++) stray += *byte != 0x00 && *byte != 0xff;
  return stray > STRAY_BYTES;
}

/* A warning (level -1), or a trace message, which is ignored. Warnings that are not listed here concern no pixel. */
static void on_message(j_common_ptr jpeg, int level) {
  struct decoder *decoder = decoder_of(jpeg);
  if (level >= 0) return;
  jpeg->err->num_warnings++;
  switch (jpeg->err->msg_code) {
    case JWRN_HIT_MARKER:
      /* The coded data end before the picture does. */
      refuse(jpeg, decoder->jpeg.unread_marker == JPEG_EOI ? TRUNCATED : DAMAGED);
      break;
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
      refuse(jpeg, DAMAGED);
      break;
    case JWRN_EXTRANEOUS_DATA:
      if (decoder->jpeg.input_scan_number > 0 && has_stray_bytes(decoder, jpeg->err->msg_parm.i[0]))
        refuse(jpeg, DAMAGED);
      break;
    default:
      break;
  }
}

static void on_output(j_common_ptr jpeg) { (void)jpeg; }

static void on_progress(j_common_ptr jpeg) {
  struct decoder *decoder = decoder_of(jpeg);
  struct timespec now;
  if (decoder->jpeg.input_scan_number > decoder->max_scans) leave(decoder, TOO_MANY_SCANS);
  if (decoder->calls++ % CALLS_PER_CLOCK_READ != 0) return;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  if (now.tv_sec > decoder->deadline.tv_sec ||
      (now.tv_sec == decoder->deadline.tv_sec && now.tv_nsec > decoder->deadline.tv_nsec))
    leave(decoder, TOO_SLOW);
}

static void on_source(j_decompress_ptr jpeg) { (void)jpeg; }

static boolean on_out_of_bytes(j_decompress_ptr jpeg) {
  static const JOCTET end[2] = {0xff, JPEG_EOI};
  decoder_of((j_common_ptr)jpeg)->is_out_of_bytes = 1;
  jpeg->src->next_input_byte = end;
  jpeg->src->bytes_in_buffer = sizeof end;
  return TRUE;
}

static void on_skip(j_decompress_ptr jpeg, long count) {
  if (count <= 0) return;
  if ((size_t)count > jpeg->src->bytes_in_buffer) {
    on_out_of_bytes(jpeg);
    return;
  }
  jpeg->src->next_input_byte += count;
  jpeg->src->bytes_in_buffer -= (size_t)count;
}

/* A picture in several scans: true if each component was sent, and to its full precision. */
static int is_complete(const struct jpeg_decompress_struct *jpeg) {
  for (int component = 0; component < jpeg->num_components; component++) {
    /* Latched when a component's first scan begins. */
    if (jpeg->comp_info[component].quant_table == NULL) return 0;
    if (jpeg->progressive_mode && jpeg->coef_bits != NULL)
      /* For each coefficient the bits still missing; -1 if it was never sent. */
      for (int coefficient = 0; coefficient < DCTSIZE2; coefficient++)
        if (jpeg->coef_bits[component][coefficient] != 0) return 0;
  }
  return 1;
}

/* Inverted CMYK, as Adobe writes it, to BGR: the formula of OpenCV's icvCvt_CMYK2BGR_8u_C4C3R. */
static void write_bgr(const JSAMPLE *cmyk, unsigned char *bgr, JDIMENSION width) {
  for (JDIMENSION column = 0; column < width; column++, cmyk += 4, bgr += 3) {
    int key = cmyk[3];
    for (int ink = 0; ink < 3; ink++) bgr[2 - ink] = (unsigned char)(key - ((255 - cmyk[ink]) * key >> 8));
  }
}

/* libjpeg-turbo writes a row that begins at a multiple of 32 bytes past the processor's caches, straight to memory, and all
 * that reads the picture afterwards would wait for it. So rows are decoded to other addresses, and copied from there. */
static void read_rows(struct decoder *decoder, unsigned char *pixels) {
  enum { ROWS = 16, OFFSET = 8 };
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  size_t stride = (size_t)jpeg->output_width * 3;
  int is_cmyk = jpeg->out_color_space == JCS_CMYK;
  JDIMENSION samples = jpeg->output_width * (is_cmyk ? 4 : 3);
  JSAMPARRAY decoded = (*jpeg->mem->alloc_sarray)((j_common_ptr)jpeg, JPOOL_IMAGE, samples + OFFSET, ROWS);
  for (int row = 0; row < ROWS; row++) decoded[row] += OFFSET;
  while (jpeg->output_scanline < jpeg->output_height) {
    unsigned char *next = pixels + stride * jpeg->output_scanline;
    JDIMENSION count = jpeg_read_scanlines(jpeg, decoded, ROWS);
    for (JDIMENSION row = 0; row < count; row++, next += stride) {
      if (is_cmyk)
        write_bgr(decoded[row], next, jpeg->output_width);
      else
        memcpy(next, decoded[row], stride);
    }
  }
}

static void decode(struct decoder *decoder, unsigned width, unsigned height, unsigned reduction, unsigned char *pixels) {
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  if (setjmp(decoder->leave) != 0) return;
  jpeg_create_decompress(jpeg);
  jpeg->progress = &decoder->progress;
  jpeg->src = &decoder->source;
  jpeg_read_header(jpeg, TRUE);
  if (jpeg->image_width != width || jpeg->image_height != height) {
    snprintf(decoder->message, JMSG_LENGTH_MAX, "its header says %u x %u pixels, but the decoder finds %u x %u", width,
             height, jpeg->image_width, jpeg->image_height);
    leave(decoder, UNREADABLE);
  }
  jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_EXT_BGR;
  jpeg->scale_num = 1;
  jpeg->scale_denom = reduction;
  jpeg_start_decompress(jpeg);
  if (jpeg->output_width != (width + reduction - 1) / reduction || jpeg->output_height != (height + reduction - 1) / reduction) {
    snprintf(decoder->message, JMSG_LENGTH_MAX, "%u x %u pixels come out at 1/%u", jpeg->output_width,
             jpeg->output_height, reduction);
    leave(decoder, UNREADABLE);
  }
  /* A picture with several scans is read to its end before the first row is returned. */
  if (jpeg_has_multiple_scans(jpeg) && !is_complete(jpeg)) leave(decoder, TRUNCATED);
  read_rows(decoder, pixels);
  jpeg_finish_decompress(jpeg);
}

/*
 * Decodes `size` bytes of a JPEG of `width` x `height` pixels at 1/`reduction` of its size (1, 2, 4 or 8).
 *
 * `pixels` takes rows of BGR without gaps: 3 * ceil(width / reduction) * ceil(height / reduction) bytes. `message` takes
 * a C string of at most 200 bytes (JMSG_LENGTH_MAX). A picture with more than `max_scans` scans, or one that takes more
 * than `max_ms` milliseconds of this thread's processor time, is refused.
 */
int everyframe_decode_jpeg(const unsigned char *bytes, size_t size, unsigned width, unsigned height, unsigned reduction,
                           unsigned char *pixels, int max_scans, unsigned max_ms, char *message) {
  struct decoder decoder;
  memset(&decoder, 0, sizeof decoder);
  message[0] = '\0';
  decoder.bytes = bytes;
  decoder.max_scans = max_scans;
  decoder.message = message;
  decoder.outcome = DECODED;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &decoder.deadline);
  decoder.deadline.tv_sec += max_ms / 1000;
  decoder.deadline.tv_nsec += (long)(max_ms % 1000) * 1000000;
  if (decoder.deadline.tv_nsec >= 1000000000) {
    decoder.deadline.tv_sec++;
    decoder.deadline.tv_nsec -= 1000000000;
  }

  decoder.jpeg.err = jpeg_std_error(&decoder.errors);
  decoder.errors.error_exit = on_error;
  decoder.errors.emit_message = on_message;
  decoder.errors.output_message = on_output;
  decoder.jpeg.client_data = &decoder;
  decoder.progress.progress_monitor = on_progress;
  decoder.source.init_source = on_source;
  decoder.source.fill_input_buffer = on_out_of_bytes;
  decoder.source.skip_input_data = on_skip;
  decoder.source.resync_to_restart = jpeg_resync_to_restart;
  decoder.source.term_source = on_source;
  decoder.source.next_input_byte = bytes;
  decoder.source.bytes_in_buffer = size;
  decode(&decoder, width, height, reduction, pixels);
  jpeg_destroy_decompress(&decoder.jpeg);
  return decoder.outcome;
}
