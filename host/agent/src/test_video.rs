//! Videos and pictures for tests, and a web server that sends them.

use opencv::core::{CV_8UC3, Mat, Scalar, Vector};
use opencv::prelude::*;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

/// A picture of 128 × 96 pixels with a pattern that depends on `shade`, encoded as `.jpg`, `.png` or `.webp`.
pub fn picture(extension: &str, shade: u8) -> Vec<u8> {
    // Large enough for FFmpeg to recognise a stream of two.
    let mut pixels = Mat::new_rows_cols_with_default(96, 128, CV_8UC3, Scalar::all(0.0)).unwrap();
    for (number, byte) in pixels.data_bytes_mut().unwrap().iter_mut().enumerate() {
        *byte = (number * number % 251) as u8 ^ shade;
    }
    let mut encoded = Vector::<u8>::new();
    opencv::imgcodecs::imencode_def(extension, &pixels, &mut encoded).unwrap();
    encoded.to_vec()
}

/// Matroska with motion JPEG: pictures with their times in milliseconds, without a length, as a browser writes it while it
/// records. <https://www.rfc-editor.org/rfc/rfc9559>
pub fn matroska(pictures: &[(u32, Vec<u8>)]) -> Vec<u8> {
    fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
        let mut size = (content.len() as u64).to_be_bytes();
        size[0] = 1;
        [id, &size, content].concat()
    }
    let head = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska"));
    let info = element(&[0x15, 0x49, 0xa9, 0x66], &element(&[0x2a, 0xd7, 0xb1], &1_000_000u32.to_be_bytes()));
    let size = [element(&[0xb0], &[128]), element(&[0xba], &[96])].concat();
    let track = [
        element(&[0xd7], &[1]),
        element(&[0x73, 0xc5], &[1]),
        element(&[0x83], &[1]),
        element(&[0x86], b"V_MJPEG"),
        element(&[0xe0], &size),
    ];
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &track.concat()));
    let clusters = pictures.iter().flat_map(|(at, picture)| {
        let block = element(&[0xa3], &[&[0x81, 0, 0, 0x80][..], picture].concat());
        element(&[0x1f, 0x43, 0xb6, 0x75], &[element(&[0xe7], &at.to_be_bytes()), block].concat())
    });
    let mut file = [head, vec![0x18, 0x53, 0x80, 0x67, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat();
    file.extend([info, tracks].concat());
    file.extend(clusters);
    file
}

/// Starts a local web server that sends every client the same bytes, piece by piece, and then closes the connection. Returns its
/// address, without a path.
pub fn start_server(pieces: Vec<Vec<u8>>, pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(mut client), pieces) = (client, pieces.clone()) else { return };
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count > 0) {
                    request.extend(byte);
                }
                for piece in pieces {
                    if client.write_all(&piece).is_err() {
                        return;
                    }
                    std::thread::sleep(pause);
                }
            });
        }
    });
    address
}

/// A file as a web server sends it, with or without its length.
pub fn file_response(content: &[u8], with_length: bool) -> Vec<Vec<u8>> {
    let length = if with_length { format!("Content-Length: {}\r\n", content.len()) } else { String::new() };
    vec![format!("HTTP/1.0 200 OK\r\n{length}\r\n").into_bytes(), content.to_vec()]
}

/// The parts of a stream as a camera sends them: content type and content.
pub fn stream_response(parts: &[(&str, Vec<u8>)]) -> Vec<Vec<u8>> {
    let head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
    let parts = parts.iter().map(|(kind, content)| {
        let head = format!("--frame\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", content.len());
        [head.as_bytes(), content, b"\r\n"].concat()
    });
    std::iter::once(head.to_vec()).chain(parts).collect()
}
