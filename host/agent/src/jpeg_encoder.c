/*
 * The JPEG encoder of libjpeg-turbo.
 *
 * It is C because only `longjmp` can leave libjpeg's fatal errors.
 */

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

struct encoder {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_destination_mgr destination;
  jmp_buf leave;
  unsigned char *bytes;
  size_t capacity;
  size_t size;
};

static void on_encoder_error(j_common_ptr jpeg) { longjmp(((struct encoder *)jpeg->client_data)->leave, 1); }
static void on_encoder_message(j_common_ptr jpeg, int level) { (void)jpeg, (void)level; }
static void on_encoder_output(j_common_ptr jpeg) { (void)jpeg; }
static void on_destination(j_compress_ptr jpeg) { (void)jpeg; }

/* The buffer is larger than any picture of this size can become. */
static boolean on_full(j_compress_ptr jpeg) {
  longjmp(((struct encoder *)jpeg->client_data)->leave, 1);
  return FALSE;
}

static void on_finished(j_compress_ptr jpeg) {
  struct encoder *encoder = jpeg->client_data;
  encoder->size = encoder->capacity - jpeg->dest->free_in_buffer;
}

static void encode(struct encoder *encoder, unsigned width, unsigned height, int quality, const uint8_t *const planes[3],
                   const size_t strides[3]) {
  enum { ROWS = 16 };
  struct jpeg_compress_struct *jpeg = &encoder->jpeg;
  JSAMPROW y[ROWS], u[ROWS / 2], v[ROWS / 2];
  JSAMPARRAY rows[3] = {y, u, v};
  if (setjmp(encoder->leave) != 0) return;
  jpeg_create_compress(jpeg);
  jpeg->dest = &encoder->destination;
  jpeg->image_width = width;
  jpeg->image_height = height;
  jpeg->input_components = 3;
  jpeg->in_color_space = JCS_YCbCr;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, quality, TRUE);
  jpeg->raw_data_in = TRUE;
  jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 2;
  for (int plane = 1; plane < 3; plane++)
    jpeg->comp_info[plane].h_samp_factor = jpeg->comp_info[plane].v_samp_factor = 1;
  jpeg_start_compress(jpeg, TRUE);
  while (jpeg->next_scanline < height) {
    /* The planes have whole blocks, so there are always 16 rows. */
    for (size_t row = 0; row < ROWS; row++) y[row] = (JSAMPROW)planes[0] + strides[0] * (jpeg->next_scanline + row);
    for (size_t row = 0; row < ROWS / 2; row++) {
      u[row] = (JSAMPROW)planes[1] + strides[1] * (jpeg->next_scanline / 2 + row);
      v[row] = (JSAMPROW)planes[2] + strides[2] * (jpeg->next_scanline / 2 + row);
    }
    jpeg_write_raw_data(jpeg, rows, ROWS);
  }
  jpeg_finish_compress(jpeg);
}

/*
 * Encodes three planes, both colour planes of half the width and height, as JPEG into `bytes`; gives the size, 0 if it fails.
 * The planes have whole blocks: rows and columns are multiples of 16 (8 for the colours), `strides` bytes a row.
 */
size_t everyframe_encode_jpeg(unsigned width, unsigned height, int quality, const uint8_t *const planes[3],
                              const size_t strides[3], unsigned char *bytes, size_t capacity) {
  struct encoder encoder;
  memset(&encoder, 0, sizeof encoder);
  encoder.bytes = bytes;
  encoder.capacity = capacity;
  encoder.jpeg.err = jpeg_std_error(&encoder.errors);
  encoder.errors.error_exit = on_encoder_error;
  encoder.errors.emit_message = on_encoder_message;
  encoder.errors.output_message = on_encoder_output;
  encoder.jpeg.client_data = &encoder;
  encoder.destination.init_destination = on_destination;
  encoder.destination.empty_output_buffer = on_full;
  encoder.destination.term_destination = on_finished;
  encoder.destination.next_output_byte = bytes;
  encoder.destination.free_in_buffer = capacity;
  encode(&encoder, width, height, quality, planes, strides);
  jpeg_destroy_compress(&encoder.jpeg);
  return encoder.size;
}
