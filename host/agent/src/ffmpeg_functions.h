/*
 * The functions of FFmpeg that capture.c calls.
 *
 * They are looked up when the first input is opened. Linked, FFmpeg and the 125 libraries it needs would be loaded into each process:
 * that takes 28 ms of processor time and 23 MB of memory, also where no camera is read.
 */

#ifndef EVERYFRAME_FFMPEG_FUNCTIONS_H
#define EVERYFRAME_FFMPEG_FUNCTIONS_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/hwcontext.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libavutil/time.h>
#include <libswscale/swscale.h>

/* Of libavformat and the libraries that it needs. */
#define FORMAT_FUNCTIONS(USE) \
  USE(av_dict_free) \
  USE(av_dict_set) \
  USE(av_display_rotation_get) \
  USE(av_find_best_stream) \
  USE(av_find_input_format) \
  USE(av_frame_alloc) \
  USE(av_frame_apply_cropping) \
  USE(av_frame_copy_props) \
  USE(av_frame_free) \
  USE(av_frame_get_side_data) \
  USE(av_frame_move_ref) \
  USE(av_frame_unref) \
  USE(av_free) \
  USE(av_gettime_relative) \
  USE(av_guess_frame_rate) \
  USE(av_hwdevice_ctx_create) \
  USE(av_hwdevice_find_type_by_name) \
  USE(av_hwframe_transfer_data) \
  USE(av_log_default_callback) \
  USE(av_log_set_callback) \
  USE(av_log_set_level) \
  USE(av_opt_get) \
  USE(av_opt_set_int) \
  USE(av_packet_alloc) \
  USE(av_packet_free) \
  USE(av_packet_unref) \
  USE(av_pix_fmt_desc_get) \
  USE(av_read_frame) \
  USE(av_rescale_q) \
  USE(av_stream_get_side_data) \
  USE(av_strerror) \
  USE(avcodec_alloc_context3) \
  USE(avcodec_default_get_format) \
  USE(avcodec_descriptor_get) \
  USE(avcodec_find_decoder) \
  USE(avcodec_free_context) \
  USE(avcodec_get_hw_config) \
  USE(avcodec_open2) \
  USE(avcodec_parameters_alloc) \
  USE(avcodec_parameters_copy) \
  USE(avcodec_parameters_free) \
  USE(avcodec_parameters_to_context) \
  USE(avcodec_receive_frame) \
  USE(avcodec_send_packet) \
  USE(avformat_alloc_context) \
  USE(avformat_close_input) \
  USE(avformat_find_stream_info) \
  USE(avformat_open_input) \
  USE(avio_closep) \
  USE(avio_open2) \
  USE(avio_read_partial) \
  USE(avio_seek) \
  USE(avio_size)

/* Of libswscale. */
#define SCALE_FUNCTIONS(USE) \
  USE(sws_alloc_context) \
  USE(sws_freeContext) \
  USE(sws_getCoefficients) \
  USE(sws_init_context) \
  USE(sws_scale) \
  USE(sws_setColorspaceDetails)

#define POINTER(name) __typeof__(&name) name;
struct ffmpeg {
  FORMAT_FUNCTIONS(POINTER)
  SCALE_FUNCTIONS(POINTER)
};
#undef POINTER

#endif
