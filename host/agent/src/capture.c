/*
 * The parts of FFmpeg that the agent uses: opening an address, reading packets, decoding and scaling pictures.
 *
 * It is C because the layout of FFmpeg's structures differs from version to version, so a compiler must read the headers that
 * belong to the installed libraries, and because only a C function can take the arguments of FFmpeg's log callback. See
 * docs/decisions/0028-capture.md.
 *
 * Every call is bounded in time: FFmpeg asks `is_over` while it waits.
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ffmpeg_functions.h"

/* Keep in step with the numbers in ffmpeg.rs. */
enum outcome {
  DONE = 0,
  ENDED = 1,
  STOPPED = 2,
  TIMED_OUT = 3,
  WRONG_PASSWORD = 4,
  NOT_FOUND = 5,
  REFUSED = 6,
  UNREACHABLE = 7,
  NOT_A_VIDEO = 8,
  AGAIN = 9,
  OTHER = 10,
};

enum { MESSAGE_BYTES = 200 };

/* Filled by `everyframe_ffmpeg_load`. */
static struct ffmpeg ffmpeg;

struct everyframe_input {
  /* Set by another thread to end every call. */
  const _Atomic unsigned char *stop;
  /* When the present call must end, microseconds of av_gettime_relative. */
  int64_t deadline;
  AVIOContext *io;
  AVFormatContext *format;
  int stream;
  /* Packets of the network protocol that never arrived, as FFmpeg logs them. */
  atomic_uint missed;
  char message[MESSAGE_BYTES];
};

/* What a scaler was made for. */
struct scaling {
  int width, height, format, is_full_range;
  int new_width, new_height;
};

struct everyframe_decoder {
  AVCodecContext *codec;
  AVCodecParameters *parameters;
  AVFrame *frame;
  AVRational time_base;
  /* Lines of the decoder at the level of an error. */
  atomic_uint errors;
  /* The format of pictures in the memory of the device that decodes them; AV_PIX_FMT_NONE without a device. */
  enum AVPixelFormat device_format;
  AVFrame *device_frame;
  /* FFmpeg tries the device for the present packet; the errors before. */
  int is_trying;
  unsigned errors_before;
  /* Errors of the present packet. */
  unsigned packet_errors;
  /* Packets with errors, one after the other. */
  unsigned failures;
  /* Why pictures are decoded in software although a device was wanted; empty once it was told. */
  char note[MESSAGE_BYTES];
  /* Degrees clockwise by which a picture must be turned. */
  int rotation;
  struct SwsContext *scaler;
  struct scaling scaling;
};

/* A packet's properties. */
struct everyframe_packet {
  const uint8_t *bytes;
  size_t size;
  /* Microseconds; INT64_MIN if unknown. */
  int64_t time;
  int is_key;
  int is_corrupt;
  /* Packets of the network protocol that were missing before this one was complete. */
  unsigned missed;
};

/* A decoded picture's properties. The planes belong to the decoder, until its next call. */
struct everyframe_picture {
  int width;
  int height;
  const uint8_t *planes[3];
  int strides[3];
  /* Three planes of 8 bits, both colour planes of half the width and height. */
  int is_planar_420;
  int is_full_range;
  int is_bt709;
  int is_rgb;
  int rotation;
  int is_key;
  int is_damaged;
  /* Microseconds; INT64_MIN if unknown. */
  int64_t time;
};

/* FFmpeg says only in its log that a name has no address; the error is EIO, as for much else. */
static _Thread_local int has_no_address;

static int is_over(void *opaque) {
  const struct everyframe_input *input = opaque;
  return atomic_load_explicit(input->stop, memory_order_relaxed) || ffmpeg.av_gettime_relative() >= input->deadline;
}

static void begin(struct everyframe_input *input, unsigned timeout_ms) {
  input->deadline = ffmpeg.av_gettime_relative() + (int64_t)timeout_ms * 1000;
  has_no_address = 0;
}

/* Remembers FFmpeg's text, and gives the kind of an error. */
static enum outcome classify(struct everyframe_input *input, int error) {
  ffmpeg.av_strerror(error, input->message, sizeof input->message);
  if (atomic_load_explicit(input->stop, memory_order_relaxed)) return STOPPED;
  if (ffmpeg.av_gettime_relative() >= input->deadline || error == AVERROR(ETIMEDOUT)) return TIMED_OUT;
  switch (error) {
    case AVERROR_EOF:
      return ENDED;
    case AVERROR_HTTP_UNAUTHORIZED:
    case AVERROR_HTTP_FORBIDDEN:
      return WRONG_PASSWORD;
    case AVERROR_HTTP_NOT_FOUND:
    case AVERROR(ENOENT):
      return NOT_FOUND;
    case AVERROR(ECONNREFUSED):
      return REFUSED;
    case AVERROR(EHOSTUNREACH):
    case AVERROR(ENETUNREACH):
      return UNREACHABLE;
    case AVERROR(EIO):
      if (has_no_address) return UNREACHABLE;
      if (input->io || input->format) return ENDED;
      snprintf(input->message, sizeof input->message,
               "the server's answer cannot be read (too many redirects, or the connection broke)");
      return OTHER;
    case AVERROR_INVALIDDATA:
    case AVERROR_STREAM_NOT_FOUND:
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_DEMUXER_NOT_FOUND:
      return NOT_A_VIDEO;
    default:
      return OTHER;
  }
}

/* FFmpeg has no other sign of a packet that was lost on the network, and some decoders none of a picture they made up. */
static void on_log(void *context, int level, const char *format, va_list arguments) {
  const AVClass *class = context ? *(AVClass **)context : NULL;
  has_no_address |= !strncmp(format, "Failed to resolve hostname", 26) || !strncmp(format, "getaddrinfo(", 12);
  if (class && level <= AV_LOG_ERROR && !strcmp(class->class_name, "AVCodecContext")) {
    struct everyframe_decoder *decoder = ((AVCodecContext *)context)->opaque;
    if (decoder) atomic_fetch_add(&decoder->errors, 1);
  } else if (class && !strcmp(class->class_name, "AVFormatContext") && !strncmp(format, "RTP: missed", 11)) {
    struct everyframe_input *input = ((AVFormatContext *)context)->opaque;
    if (input) atomic_fetch_add(&input->missed, 1);
  }
  /* The agent itself says what happens to a connection. */
  if (level <= AV_LOG_FATAL || (class && !strcmp(class->class_name, "AVCodecContext")))
    ffmpeg.av_log_default_callback(context, level, format, arguments);
}

/* Loads one of FFmpeg's libraries. NULL if it cannot be loaded: `message` says why. */
static void *open_library(const char *name, int version, char *message) {
  char file[40];
  snprintf(file, sizeof file, "lib%s.so.%d", name, version);
  void *library = dlopen(file, RTLD_NOW);
  if (!library) snprintf(message, MESSAGE_BYTES, "install FFmpeg's lib%s: %s", name, dlerror());
  return library;
}

/* Looks up the functions of FFmpeg; the first call of all. `message` has MESSAGE_BYTES, for what is missing. */
int everyframe_ffmpeg_load(char *message) {
#define LOOK_UP(name)                                                       \
  if (!(*(void **)&ffmpeg.name = dlsym(library, #name))) {                  \
    snprintf(message, MESSAGE_BYTES, "this FFmpeg has no function " #name); \
    return OTHER;                                                           \
  }
  void *library = open_library("avformat", LIBAVFORMAT_VERSION_MAJOR, message);
  if (!library) return OTHER;
  FORMAT_FUNCTIONS(LOOK_UP)
  library = open_library("swscale", LIBSWSCALE_VERSION_MAJOR, message);
  if (!library) return OTHER;
  SCALE_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
  return DONE;
}

struct everyframe_input *everyframe_input_new(const _Atomic unsigned char *stop) {
  struct everyframe_input *input = calloc(1, sizeof *input);
  ffmpeg.av_log_set_level(AV_LOG_ERROR);
  ffmpeg.av_log_set_callback(on_log);
  if (input) {
    input->stop = stop;
    input->stream = -1;
  }
  return input;
}

void everyframe_input_free(struct everyframe_input *input) {
  if (!input) return;
  /* Closing RTSP sends a last request; it must not wait for long. */
  begin(input, 500);
  ffmpeg.avformat_close_input(&input->format);
  ffmpeg.avio_closep(&input->io);
  free(input);
}

const char *everyframe_input_message(const struct everyframe_input *input) { return input->message; }

/* Sends the request for an http address and reads the head of the answer. */
int everyframe_input_connect(struct everyframe_input *input, const char *address, unsigned timeout_ms) {
  const AVIOInterruptCB interrupt = {is_over, input};
  AVDictionary *options = NULL;
  int error;
  begin(input, timeout_ms);
  ffmpeg.av_dict_set(&options, "user_agent", "everyframe", 0);
  ffmpeg.av_dict_set(&options, "icy", "0", 0);
  error = ffmpeg.avio_open2(&input->io, address, AVIO_FLAG_READ, &interrupt, &options);
  ffmpeg.av_dict_free(&options);
  return error < 0 ? classify(input, error) : DONE;
}

/* The content type of the answer, at most `size` bytes with the final zero; and its length, -1 if the server states none. */
int64_t everyframe_input_content(struct everyframe_input *input, char *type, size_t size) {
  uint8_t *text = NULL;
  int64_t length = ffmpeg.avio_size(input->io);
  type[0] = '\0';
  if (ffmpeg.av_opt_get(input->io, "mime_type", AV_OPT_SEARCH_CHILDREN, &text) >= 0 && text) {
    snprintf(type, size, "%s", (const char *)text);
    ffmpeg.av_free(text);
  }
  return length > 0 ? length : -1;
}

/* Reads at least one byte of the answer. */
int everyframe_input_bytes(struct everyframe_input *input, uint8_t *bytes, int size, unsigned timeout_ms, int *read) {
  begin(input, timeout_ms);
  *read = ffmpeg.avio_read_partial(input->io, bytes, size);
  if (*read > 0) return DONE;
  return classify(input, *read < 0 ? *read : AVERROR_EOF);
}

/* Reads the first bytes of the answer, and goes back to its start: FFmpeg still has them. */
int everyframe_input_peek(struct everyframe_input *input, uint8_t *bytes, int size, unsigned timeout_ms, int *read) {
  const int outcome = everyframe_input_bytes(input, bytes, size, timeout_ms, read);
  if (outcome != DONE) return outcome;
  return ffmpeg.avio_seek(input->io, 0, SEEK_SET) < 0 ? OTHER : DONE;
}

/* Devices are in a library of their own, which needs many others: it is loaded only for a device. */
static const AVInputFormat *find_device_format(struct everyframe_input *input) {
  void (*register_all)(void);
  void *library = open_library("avdevice", LIBAVFORMAT_VERSION_MAJOR, input->message);
  if (!library) return NULL;
  *(void **)&register_all = dlsym(library, "avdevice_register_all");
  if (register_all) register_all();
  return ffmpeg.av_find_input_format("video4linux2");
}

/* Opens the container: of the connection that `everyframe_input_connect` opened, or of `address`. */
int everyframe_input_open(struct everyframe_input *input, const char *address, const char *transport, int is_device,
                          int is_stream, unsigned timeout_ms) {
  const AVInputFormat *container = NULL;
  AVDictionary *options = NULL;
  int error, is_known = 0;
  begin(input, timeout_ms);
  if (is_device && !(container = find_device_format(input))) return OTHER;
  input->format = ffmpeg.avformat_alloc_context();
  if (!input->format) return OTHER;
  input->format->interrupt_callback = (AVIOInterruptCB){is_over, input};
  input->format->opaque = input;
  input->format->pb = input->io;
  if (is_device) {
    /* Pictures that are coded already need no encoder. */
    ffmpeg.av_dict_set(&options, "input_format", "mjpeg", 0);
  } else if (transport) {
    ffmpeg.av_dict_set(&options, "rtsp_transport", transport, 0);
    ffmpeg.av_dict_set(&options, "allowed_media_types", "video", 0);
    /* With a queue, FFmpeg notices missing packets also over TCP, where a server may leave some out. There it waits until the
       queue is full. */
    ffmpeg.av_dict_set(&options, "reorder_queue_size", strcmp(transport, "udp") ? "2" : "500", 0);
    ffmpeg.av_dict_set(&options, "buffer_size", "2097152", 0);
    ffmpeg.av_dict_set(&options, "user_agent", "everyframe", 0);
  }
  error = ffmpeg.avformat_open_input(&input->format, address, container, &options);
  if (is_device && error == AVERROR(EINVAL)) {
    /* The device has no JPEG. */
    ffmpeg.av_dict_free(&options);
    error = ffmpeg.avformat_open_input(&input->format, address, container, NULL);
  }
  ffmpeg.av_dict_free(&options);
  if (error < 0) return classify(input, error);
  for (unsigned index = 0; index < input->format->nb_streams; index++) {
    const AVCodecParameters *codec = input->format->streams[index]->codecpar;
    is_known |= codec->codec_type == AVMEDIA_TYPE_VIDEO && codec->codec_id != AV_CODEC_ID_NONE;
  }
  /* A stream's description is in its protocol: reading ahead would only delay its pictures. */
  if (!is_stream || !is_known) {
    error = ffmpeg.avformat_find_stream_info(input->format, NULL);
    if (error < 0) return classify(input, error);
  }
  input->stream = ffmpeg.av_find_best_stream(input->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
  if (input->stream < 0) return classify(input, AVERROR_STREAM_NOT_FOUND);
  for (unsigned index = 0; index < input->format->nb_streams; index++)
    if ((int)index != input->stream) input->format->streams[index]->discard = AVDISCARD_ALL;
  return DONE;
}

/* Pictures per second as the container states them, 0 if it does not. */
double everyframe_input_rate(const struct everyframe_input *input) {
  AVRational rate = ffmpeg.av_guess_frame_rate(input->format, input->format->streams[input->stream], NULL);
  return rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
}

/* 1 if the container states a length. */
int everyframe_input_has_length(const struct everyframe_input *input) {
  return input->format->duration > 0 || input->format->streams[input->stream]->nb_frames > 0;
}

int everyframe_input_is_jpeg(const struct everyframe_input *input) {
  return input->format->streams[input->stream]->codecpar->codec_id == AV_CODEC_ID_MJPEG;
}

/* The name of the codec as people write it. */
const char *everyframe_input_codec(const struct everyframe_input *input) {
  const AVStream *stream = input->format->streams[input->stream];
  const AVCodecDescriptor *codec = ffmpeg.avcodec_descriptor_get(stream->codecpar->codec_id);
  return codec ? codec->name : "unknown";
}

static int64_t microseconds(int64_t time, AVRational base) {
  return time == AV_NOPTS_VALUE ? INT64_MIN : ffmpeg.av_rescale_q(time, base, AV_TIME_BASE_Q);
}

/* Reads the next packet of the video into a new packet, which the caller frees. */
int everyframe_input_packet(struct everyframe_input *input, unsigned timeout_ms, AVPacket **packet,
                            struct everyframe_packet *properties) {
  AVPacket *next = ffmpeg.av_packet_alloc();
  int error;
  if (!next) return OTHER;
  begin(input, timeout_ms);
  while ((error = ffmpeg.av_read_frame(input->format, next)) >= 0 && next->stream_index != input->stream)
    ffmpeg.av_packet_unref(next);
  if (error < 0) {
    ffmpeg.av_packet_free(&next);
    return error == AVERROR(EAGAIN) ? AGAIN : classify(input, error);
  }
  properties->bytes = next->data;
  properties->size = next->size > 0 ? (size_t)next->size : 0;
  properties->time = microseconds(next->pts != AV_NOPTS_VALUE ? next->pts : next->dts,
                                  input->format->streams[input->stream]->time_base);
  properties->is_key = (next->flags & AV_PKT_FLAG_KEY) != 0;
  properties->is_corrupt = (next->flags & AV_PKT_FLAG_CORRUPT) != 0;
  properties->missed = atomic_exchange(&input->missed, 0);
  *packet = next;
  return DONE;
}

void everyframe_packet_free(AVPacket *packet) { ffmpeg.av_packet_free(&packet); }

/* Degrees clockwise by which a picture must be turned, by a display matrix; `before` without one. A mirrored picture stays so. */
static int rotation_of(const uint8_t *matrix, size_t size, int before) {
  double angle;
  if (!matrix || size < 9 * sizeof(int32_t)) return before;
  angle = -ffmpeg.av_display_rotation_get((const int32_t *)matrix);
  if (!(angle >= -360 && angle <= 360)) return before;
  return ((int)(angle / 90 + (angle < 0 ? -0.5 : 0.5)) * 90 + 360) % 360;
}

/* The rotation that the container states. */
static int rotation_of_stream(const AVStream *stream) {
#if LIBAVFORMAT_VERSION_MAJOR < 61
  size_t size = 0;
  const uint8_t *matrix = ffmpeg.av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return rotation_of(matrix, size, 0);
#else
  const AVCodecParameters *codec = stream->codecpar;
  const AVPacketSideData *data =
      av_packet_side_data_get(codec->coded_side_data, codec->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  return data ? rotation_of(data->data, data->size, 0) : 0;
#endif
}

static void note_software(struct everyframe_decoder *decoder, const char *reason) {
  snprintf(decoder->note, sizeof decoder->note, "pictures are decoded in software: %s", reason);
}

/* FFmpeg asks with the device's format first, and without it if the device cannot decode this video. */
static enum AVPixelFormat choose_format(AVCodecContext *codec, const enum AVPixelFormat *formats) {
  struct everyframe_decoder *decoder = codec->opaque;
  for (const enum AVPixelFormat *format = formats; *format != AV_PIX_FMT_NONE; format++) {
    if (*format != decoder->device_format) continue;
    decoder->is_trying = 1;
    decoder->errors_before = atomic_load(&decoder->errors);
    return *format;
  }
  /* What FFmpeg logged of the device's refusal is no damage of the picture. */
  if (decoder->is_trying) atomic_store(&decoder->errors, decoder->errors_before);
  note_software(decoder, "the device cannot decode this kind of video");
  return ffmpeg.avcodec_default_get_format(codec, formats);
}

/* Lets the codec use a device of the kind `name`. Gives the error of FFmpeg, 0 if there is none. */
static int use_device(struct everyframe_decoder *decoder, const AVCodec *codec, const char *name) {
  const enum AVHWDeviceType type = ffmpeg.av_hwdevice_find_type_by_name(name);
  const AVCodecHWConfig *config;
  int error;
  for (int index = 0; (config = ffmpeg.avcodec_get_hw_config(codec, index)); index++) {
    if (config->device_type != type || !(config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX)) continue;
    error = ffmpeg.av_hwdevice_ctx_create(&decoder->codec->hw_device_ctx, type, NULL, NULL, 0);
    if (error < 0) return error;
    decoder->device_format = config->pix_fmt;
    decoder->codec->get_format = choose_format;
    return 0;
  }
  return AVERROR_DECODER_NOT_FOUND;
}

/* Opens the codec for a device of the kind `device`, or `auto` for any; without one, and for NULL, in software. */
static int open_codec(struct everyframe_decoder *decoder, const char *device) {
  static const char *const devices[] = {"cuda", "vaapi"};
  const AVCodec *codec = ffmpeg.avcodec_find_decoder(decoder->parameters->codec_id);
  char reason[MESSAGE_BYTES / 2] = "", message[MESSAGE_BYTES / 4];
  ffmpeg.avcodec_free_context(&decoder->codec);
  decoder->device_format = AV_PIX_FMT_NONE;
  decoder->codec = codec ? ffmpeg.avcodec_alloc_context3(codec) : NULL;
  if (!decoder->codec || ffmpeg.avcodec_parameters_to_context(decoder->codec, decoder->parameters) < 0) return OTHER;
  decoder->codec->opaque = decoder;
  /* With more, an error could not be assigned to its picture. */
  decoder->codec->thread_count = 1;
  decoder->codec->pkt_timebase = decoder->time_base;
  for (size_t index = 0; device && index < sizeof devices / sizeof *devices; index++) {
    if (strcmp(device, "auto") && strcmp(device, devices[index])) continue;
    const int error = use_device(decoder, codec, devices[index]);
    if (!error) break;
    ffmpeg.av_strerror(error, message, sizeof message);
    const size_t used = strlen(reason);
    snprintf(reason + used, sizeof reason - used, "%s%s cannot be used: %s", used ? "; " : "", devices[index], message);
  }
  if (device && decoder->device_format == AV_PIX_FMT_NONE) note_software(decoder, reason);
  return ffmpeg.avcodec_open2(decoder->codec, codec, NULL) < 0 ? OTHER : DONE;
}

void everyframe_decoder_free(struct everyframe_decoder *decoder) {
  if (!decoder) return;
  ffmpeg.avcodec_free_context(&decoder->codec);
  ffmpeg.avcodec_parameters_free(&decoder->parameters);
  ffmpeg.av_frame_free(&decoder->frame);
  ffmpeg.av_frame_free(&decoder->device_frame);
  ffmpeg.sws_freeContext(decoder->scaler);
  free(decoder);
}

/* A decoder for the video of an input, which it may outlive. `device`: as for `open_codec`. */
struct everyframe_decoder *everyframe_decoder_new(const struct everyframe_input *input, const char *device) {
  const AVStream *stream = input->format->streams[input->stream];
  struct everyframe_decoder *decoder = calloc(1, sizeof *decoder);
  if (!decoder) return NULL;
  decoder->frame = ffmpeg.av_frame_alloc();
  decoder->device_frame = ffmpeg.av_frame_alloc();
  decoder->parameters = ffmpeg.avcodec_parameters_alloc();
  decoder->time_base = stream->time_base;
  decoder->rotation = rotation_of_stream(stream);
  if (!decoder->frame || !decoder->device_frame || !decoder->parameters ||
      ffmpeg.avcodec_parameters_copy(decoder->parameters, stream->codecpar) < 0 || open_codec(decoder, device) != DONE) {
    everyframe_decoder_free(decoder);
    return NULL;
  }
  return decoder;
}

/* Why pictures are decoded in software although a device was wanted; NULL if it was told, or is not so. */
const char *everyframe_decoder_note(const struct everyframe_decoder *decoder) {
  return decoder->note[0] ? decoder->note : NULL;
}

void everyframe_decoder_clear_note(struct everyframe_decoder *decoder) { decoder->note[0] = '\0'; }

/* Goes on in software. Pictures are damaged until one that refers to none before. */
static void leave_device(struct everyframe_decoder *decoder, const char *reason) {
  ffmpeg.av_frame_unref(decoder->device_frame);
  open_codec(decoder, NULL);
  atomic_fetch_add(&decoder->errors, 1);
  note_software(decoder, reason);
}

/* Gives a packet to the decoder; NULL at the end. DONE, AGAIN if pictures must be taken first, OTHER if it is damaged. */
int everyframe_decoder_send(struct everyframe_decoder *decoder, const AVPacket *packet) {
  enum { MOST_FAILURES = 50 };
  int error;
  decoder->failures = decoder->packet_errors ? decoder->failures + 1 : 0;
  decoder->packet_errors = 0;
  decoder->is_trying = 0;
  /* Nothing tells a broken device from a broken stream; the software decoder does no worse with either. */
  if (decoder->device_format != AV_PIX_FMT_NONE && decoder->failures >= MOST_FAILURES)
    leave_device(decoder, "the device has failed for 50 packets, one after the other");
  error = decoder->codec ? ffmpeg.avcodec_send_packet(decoder->codec, packet) : AVERROR(ENOMEM);
  if (error == AVERROR(EAGAIN)) return AGAIN;
  decoder->packet_errors += error < 0 && error != AVERROR_EOF;
  return error < 0 && error != AVERROR_EOF ? OTHER : DONE;
}

/* The number of errors that the decoder logged since the last call. */
unsigned everyframe_decoder_errors(struct everyframe_decoder *decoder) {
  const unsigned errors = atomic_exchange(&decoder->errors, 0);
  decoder->packet_errors += errors;
  return errors;
}

/* Copies a picture from the memory of its device. */
static int fetch_picture(struct everyframe_decoder *decoder) {
  AVFrame *frame = decoder->frame;
  ffmpeg.av_frame_unref(decoder->device_frame);
  ffmpeg.av_frame_move_ref(decoder->device_frame, frame);
  if (ffmpeg.av_hwframe_transfer_data(frame, decoder->device_frame, 0) < 0 ||
      ffmpeg.av_frame_copy_props(frame, decoder->device_frame) < 0 ||
      ffmpeg.av_frame_apply_cropping(frame, 0) < 0) {
    leave_device(decoder, "its pictures cannot be copied from the device");
    return OTHER;
  }
  return DONE;
}

/* Takes the next picture. DONE, AGAIN if the decoder needs a packet, ENDED, or OTHER if it is damaged. */
int everyframe_decoder_receive(struct everyframe_decoder *decoder, struct everyframe_picture *picture) {
  const AVPixFmtDescriptor *format;
  const AVFrameSideData *matrix;
  AVFrame *frame = decoder->frame;
  int error = decoder->codec ? ffmpeg.avcodec_receive_frame(decoder->codec, frame) : AVERROR(ENOMEM);
  if (error == AVERROR(EAGAIN)) return AGAIN;
  if (error == AVERROR_EOF) return ENDED;
  decoder->packet_errors += error < 0;
  if (error < 0) return OTHER;
  if (decoder->device_format != AV_PIX_FMT_NONE && frame->format == (int)decoder->device_format &&
      fetch_picture(decoder) != DONE)
    return OTHER;
  format = ffmpeg.av_pix_fmt_desc_get(frame->format);
  if (!format || frame->width <= 0 || frame->height <= 0) return OTHER;
  matrix = ffmpeg.av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
  if (matrix) decoder->rotation = rotation_of(matrix->data, matrix->size, decoder->rotation);
  picture->width = frame->width;
  picture->height = frame->height;
  for (int plane = 0; plane < 3; plane++) {
    picture->planes[plane] = frame->data[plane];
    picture->strides[plane] = frame->linesize[plane];
  }
  picture->is_planar_420 = frame->format == AV_PIX_FMT_YUV420P || frame->format == AV_PIX_FMT_YUVJ420P;
  picture->is_full_range = frame->color_range == AVCOL_RANGE_JPEG || frame->format == AV_PIX_FMT_YUVJ420P ||
                           frame->format == AV_PIX_FMT_YUVJ422P || frame->format == AV_PIX_FMT_YUVJ444P;
  picture->is_bt709 = frame->colorspace == AVCOL_SPC_BT709;
  picture->is_rgb = (format->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
  picture->rotation = decoder->rotation;
#if LIBAVUTIL_VERSION_MAJOR < 58
  picture->is_key = frame->key_frame;
#else
  picture->is_key = (frame->flags & AV_FRAME_FLAG_KEY) != 0;
#endif
  picture->is_damaged = frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT) != 0;
  picture->time = microseconds(frame->best_effort_timestamp, decoder->time_base);
  return DONE;
}

/*
 * A scaler to three planes of full range. FFmpeg must know the ranges before it chooses its functions: for formats like NV12
 * and 10 bits it has one that changes no range.
 */
static struct SwsContext *find_scaler(struct everyframe_decoder *decoder, const struct scaling *scaling) {
  const int is_same = scaling->width == scaling->new_width && scaling->height == scaling->new_height;
  const int *table = ffmpeg.sws_getCoefficients(SWS_CS_ITU601);
  struct SwsContext *scaler = decoder->scaler;
  if (scaler && !memcmp(scaling, &decoder->scaling, sizeof *scaling)) return scaler;
  ffmpeg.sws_freeContext(scaler);
  decoder->scaling = *scaling;
  decoder->scaler = scaler = ffmpeg.sws_alloc_context();
  if (!scaler) return NULL;
  ffmpeg.av_opt_set_int(scaler, "srcw", scaling->width, 0);
  ffmpeg.av_opt_set_int(scaler, "srch", scaling->height, 0);
  ffmpeg.av_opt_set_int(scaler, "src_format", scaling->format, 0);
  ffmpeg.av_opt_set_int(scaler, "src_range", scaling->is_full_range, 0);
  ffmpeg.av_opt_set_int(scaler, "dstw", scaling->new_width, 0);
  ffmpeg.av_opt_set_int(scaler, "dsth", scaling->new_height, 0);
  ffmpeg.av_opt_set_int(scaler, "dst_format", AV_PIX_FMT_YUV420P, 0);
  ffmpeg.av_opt_set_int(scaler, "dst_range", 1, 0);
  ffmpeg.av_opt_set_int(scaler, "sws_flags", is_same ? SWS_POINT : SWS_AREA, 0);
  if (ffmpeg.sws_init_context(scaler, NULL, NULL) < 0) {
    ffmpeg.sws_freeContext(scaler);
    return decoder->scaler = NULL;
  }
  ffmpeg.sws_setColorspaceDetails(scaler, table, scaling->is_full_range, table, 1, 0, 1 << 16, 1 << 16);
  return scaler;
}

/* Scales the last picture to `width` x `height`, in three planes of full range with rows of these lengths. */
int everyframe_decoder_scale(struct everyframe_decoder *decoder, int width, int height, uint8_t *const planes[3],
                             const int strides[3], int is_full_range) {
  const AVFrame *frame = decoder->frame;
  const struct scaling scaling = {frame->width, frame->height, frame->format, is_full_range, width, height};
  struct SwsContext *scaler = find_scaler(decoder, &scaling);
  if (!scaler ||
      ffmpeg.sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes, strides) != height)
    return OTHER;
  return DONE;
}
