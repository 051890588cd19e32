//! Sources of every kind: their kind, pictures, times, skipped parts and ends.

use super::test_video::{file_response, matroska, picture, start_server, stream_response};
use super::{Reading, Source, SourceAddress, SourceError, SourceOptions};
use everyframe_types::frame::SourceKind;
use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

fn open(address: &str) -> Source {
    Source::open(&SourceAddress::new(address), &SourceOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The pictures until the end, with their times in milliseconds.
fn read_all(source: &mut Source) -> Vec<(Vec<u8>, Option<u128>)> {
    let mut pictures = Vec::new();
    while let Some(picture) = source.next_picture().unwrap() {
        pictures.push((picture.bytes, picture.at.map(|at| at.as_millis())));
        assert!(pictures.len() < 1000, "it has no end");
    }
    pictures
}

fn times(source: &mut Source) -> Vec<u128> {
    read_all(source).into_iter().filter_map(|(_, at)| at).collect()
}

fn shades(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| picture(".jpg", 20 * number)).collect()
}

thread_local! {
    /// The folders of a test's files, kept until its end: each test has its own thread.
    static FOLDERS: RefCell<Vec<tempfile::TempDir>> = const { RefCell::new(Vec::new()) };
}

/// A file with this content in a folder of its own.
fn file(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    path.display().to_string()
}

fn variable_rate() -> Vec<u8> {
    let pictures: Vec<(u32, Vec<u8>)> = [0, 100, 200, 1900, 2000].into_iter().zip(shades(5)).collect();
    matroska(&pictures)
}

#[test]
fn a_recording_without_a_length_is_not_live() {
    let bare = shades(3).concat();
    for (name, content, expected) in [
        ("browser.mkv", variable_rate(), vec![0, 100, 200, 1900, 2000]),
        ("camera.mjpeg", bare.clone(), vec![0, 40, 80]),
        ("camera", bare, vec![0, 40, 80]),
    ] {
        let path = file(name, &content);
        for address in [path.clone(), format!("file://{path}")] {
            let mut source = open(&address);
            assert_eq!(source.kind(), SourceKind::Recording, "{address}");
            assert_eq!(times(&mut source), expected, "{address}");
            assert_eq!(source.counts().skipped, 0, "{address}");
        }
    }
}

#[test]
fn times_continue_when_a_recording_starts_again() {
    let mut source = open(&file("a.mkv", &variable_rate()));
    assert_eq!(times(&mut source), [0, 100, 200, 1900, 2000]);
    source.rewind().unwrap();
    assert_eq!(times(&mut source), [2100, 2200, 2300, 4000, 4100]);
}

#[test]
fn a_bad_picture_in_a_recording_is_skipped() {
    let mut pictures: Vec<(u32, Vec<u8>)> = [0, 100, 200, 300].into_iter().zip(shades(4)).collect();
    pictures[2].1 = b"no picture".to_vec();
    let mut source = open(&file("a.mkv", &matroska(&pictures)));
    assert_eq!(times(&mut source), [0, 100, 300]);
    assert_eq!(source.counts().skipped, 1);
}

#[test]
fn a_single_picture_is_sent_once_and_unchanged() {
    for (name, extension) in [
        ("a.png", ".png"),
        ("b.JPG", ".jpg"),
        ("c.webp", ".webp"),
        ("d", ".png"),
        ("e.bin", ".jpg"),
        ("f", ".webp"),
    ] {
        let bytes = picture(extension, 77);
        let mut source = open(&file(name, &bytes));
        assert_eq!(source.kind(), SourceKind::Pictures, "{name}");
        assert_eq!(read_all(&mut source), [(bytes, None)], "{name}");
    }
}

#[test]
fn a_single_bad_picture_is_an_error_with_its_name() {
    for (content, reason) in [
        (&b""[..], "the picture has no bytes"),
        (b"text", "not a JPEG, PNG or WebP picture"),
        (&picture(".png", 1)[..60], "data are missing at its end"),
    ] {
        let path = file("a.png", content);
        let mut source = open(&path);
        assert_eq!(source.read().unwrap(), Reading::Nothing);
        assert_eq!(source.read().unwrap(), Reading::End);
        let error = source.no_picture_error().to_string();
        assert!(error.starts_with(&path) && error.contains(reason), "{error}");
    }
}

#[cfg(unix)]
fn folder_with_everything(folder: &Path) {
    use std::os::unix::ffi::OsStrExt as _;
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).unwrap();
    write("frame10.png", &picture(".png", 100));
    write("frame2.jpg", &picture(".jpg", 20));
    write("frame1.webp", &picture(".webp", 10));
    write("frame3.jpg", b"");
    write("frame4.png", b"a text");
    write("frame5.jpg", &picture(".jpg", 50)[..200]);
    write("notes.txt", b"ignored");
    let not_text = std::ffi::OsStr::from_bytes(b"frame20\xff.jpg");
    std::fs::write(folder.join(not_text), picture(".jpg", 200)).unwrap();
    std::fs::create_dir(folder.join("frame6.jpg")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.join("frame7.jpg")).status().unwrap().success());
    std::os::unix::fs::symlink("frame8.jpg", folder.join("frame8.jpg")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("frame9.jpg")).unwrap();
}

#[test]
fn bad_files_of_a_folder_are_skipped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    folder_with_everything(folder.path());
    let mut source = Source::open(&SourceAddress::from(folder.path()), &SourceOptions::default()).unwrap();
    let expected = [(".webp", 10), (".jpg", 20), (".png", 100), (".jpg", 200)]
        .map(|(kind, shade)| (picture(kind, shade), None));
    assert_eq!(read_all(&mut source), expected, "in the order of their numbers, as they are");
    assert_eq!(source.counts().skipped, 7);
    source.rewind().unwrap();
    assert_eq!(read_all(&mut source), expected);
    assert_eq!(source.counts().skipped, 14);
}

#[test]
fn a_folder_without_a_good_picture_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "b.jpg"] {
        std::fs::write(folder.path().join(name), b"").unwrap();
    }
    let mut source = Source::open(&SourceAddress::from(folder.path()), &SourceOptions::default()).unwrap();
    assert_eq!(read_all(&mut source), []);
    let error = source.rewind().unwrap_err();
    assert!(matches!(error, SourceError::NoGoodPicture { files: 2, .. }), "{error}");
}

#[test]
fn a_folder_without_pictures_any_more_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jpg"), picture(".jpg", 1)).unwrap();
    let mut source = Source::open(&SourceAddress::from(folder.path()), &SourceOptions::default()).unwrap();
    assert_eq!(read_all(&mut source).len(), 1);
    std::fs::write(folder.path().join("a.jpg"), b"").unwrap();
    source.rewind().unwrap();
    assert_eq!(read_all(&mut source), []);
    assert!(source.rewind().is_err());
}

#[test]
fn parts_of_a_stream_that_are_no_pictures_are_skipped() {
    let good = shades(6);
    let jpeg = |number: usize| ("image/jpeg", good[number].clone());
    let page = "<html>\n<p>The camera is busy.\n".repeat(60).into_bytes();
    let bad: [(&str, Vec<u8>); 6] = [
        ("image/jpeg", b"no picture".to_vec()),
        ("image/jpeg", Vec::new()),
        ("image/jpeg", b"\xff\xd8\xff".to_vec()),
        // Truncated in its header. One that is truncated later counts as damaged.
        ("image/jpeg", good[0][..100].to_vec()),
        ("text/html", page),
        ("application/octet-stream", Vec::new()),
    ];
    for bad in bad {
        let payload = format!("{} {}", bad.0, bad.1.len());
        let parts = [jpeg(0), jpeg(1), bad.clone(), jpeg(2), bad.clone(), bad, jpeg(3), jpeg(4), jpeg(5)];
        let mut source = open(&start_server(stream_response(&parts), Duration::from_millis(5)));
        assert_eq!(source.kind(), SourceKind::Live, "{payload}");
        let pictures: Vec<Vec<u8>> = read_all(&mut source).into_iter().map(|(bytes, _)| bytes).collect();
        assert!(pictures.iter().all(|bytes| good.contains(bytes)), "{payload}: unchanged");
        assert_eq!((pictures.len(), source.counts().skipped), (6, 3), "{payload}");
    }
}

#[test]
fn a_stream_that_begins_with_a_bad_part_is_read() {
    let good = shades(2);
    let bad = ("image/jpeg", b"not yet".to_vec());
    let parts = [bad.clone(), bad, ("image/jpeg", good[0].clone()), ("image/jpeg", good[1].clone())];
    let mut source = open(&start_server(stream_response(&parts), Duration::from_millis(5)));
    assert_eq!(read_all(&mut source).len(), 2);
}

#[test]
fn the_end_of_a_stream_is_detected_at_once() {
    let parts: Vec<(&str, Vec<u8>)> = shades(2).into_iter().map(|bytes| ("image/jpeg", bytes)).collect();
    let mut source = open(&start_server(stream_response(&parts), Duration::ZERO));
    let begun = Instant::now();
    assert_eq!(read_all(&mut source).len(), 2);
    assert!(begun.elapsed() < SourceOptions::default().read_timeout, "it does not wait");
    assert_eq!(read_all(&mut source).len(), 2, "reconnected");
}

#[test]
fn a_web_address_with_a_length_is_a_recording() {
    let content = variable_rate();
    for (with_length, kind) in [(true, SourceKind::Recording), (false, SourceKind::Live)] {
        let address = start_server(file_response(&content, with_length), Duration::ZERO);
        let mut source = open(&format!("{address}/recording"));
        assert_eq!(source.kind(), kind, "{with_length}");
        let pictures = read_all(&mut source);
        let times: Vec<u128> = pictures.iter().filter_map(|(_, at)| *at).collect();
        let expected: &[u128] = if with_length { &[0, 100, 200, 1900, 2000] } else { &[] };
        assert_eq!((pictures.len(), times.as_slice()), (5, expected), "{with_length}");
        assert_eq!(source.kind(), kind, "{with_length}");
    }
}

#[test]
fn a_web_file_of_pictures_has_an_end() {
    let content = shades(3).concat();
    for (with_length, kind) in [(true, SourceKind::Recording), (false, SourceKind::Live)] {
        let mut source = open(&start_server(file_response(&content, with_length), Duration::ZERO));
        assert_eq!(read_all(&mut source).len(), 3, "{with_length}");
        assert_eq!(source.kind(), kind, "{with_length}");
    }
}

#[test]
fn no_error_shows_a_password() {
    for address in [
        "http://admin:hunter2@127.0.0.1:1/v?password=hunter2",
        "rtsp://admin:hunter2@127.0.0.1:1/stream",
        "admin:hunter2@127.0.0.1/stream",
        "nothing://admin:hunt%65r2@127.0.0.1/stream",
    ] {
        let Err(error) = Source::open(&SourceAddress::new(address), &SourceOptions::default()) else {
            panic!("{address} opened")
        };
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("hunter2") && !shown.contains("hunt%65r2"), "{shown}");
            assert!(shown.contains("127.0.0.1"), "the address is still recognisable: {shown}");
        }
    }
}

#[test]
fn a_cut_part_is_damaged_and_withheld_or_marked() {
    use everyframe_config::DamagedPolicy;
    let good = shades(3);
    let cut = good[1][..good[1].len() / 2].to_vec();
    let parts =
        [("image/jpeg", good[0].clone()), ("image/jpeg", cut.clone()), ("image/jpeg", good[2].clone())];
    let address = SourceAddress::new(&start_server(stream_response(&parts), Duration::ZERO));
    for (damaged, expected) in [(DamagedPolicy::Withhold, 2), (DamagedPolicy::Mark, 3)] {
        let options = SourceOptions { damaged, ..SourceOptions::default() };
        let mut source = Source::open(&address, &options).unwrap();
        let mut pictures = Vec::new();
        while let Some(picture) = source.next_picture().unwrap() {
            assert_eq!(picture.is_damaged, picture.bytes == cut);
            pictures.push(picture.bytes);
        }
        assert_eq!((pictures.len(), source.counts().damaged), (expected, 1));
    }
}

#[test]
fn single_pictures_of_a_server_are_asked_for_at_the_rate() {
    let picture = picture(".jpg", 9);
    let head =
        format!("HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
    let address = start_server(vec![[head.as_bytes(), &picture].concat()], Duration::ZERO);
    let options = SourceOptions { max_fps: Some(10.0), ..SourceOptions::default() };
    let mut source = Source::open(&SourceAddress::new(&address), &options).unwrap();
    assert_eq!(source.kind(), SourceKind::Live);
    let taken: Vec<_> = (0..5).map(|_| source.next_picture().unwrap().unwrap()).collect();
    assert!(taken.iter().all(|taken| taken.bytes == picture));
    let times: Vec<i64> = taken.iter().filter_map(|taken| taken.captured_at).collect();
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.len() == 4 && steps.iter().all(|step| *step >= 50), "{steps:?}");
}

#[test]
fn single_pictures_need_no_content_type() {
    for extension in [".jpg", ".png", ".webp"] {
        let picture = picture(extension, 9);
        for head in ["", "Content-Type: application/octet-stream\r\n", "Content-Type: text/plain\r\n"] {
            let head = format!("HTTP/1.0 200 OK\r\n{head}\r\n");
            // The first bytes come alone.
            let pieces = vec![head.into_bytes(), picture[..4].to_vec(), picture[4..].to_vec()];
            let address = start_server(pieces, Duration::from_millis(20));
            let options = SourceOptions { max_fps: Some(20.0), ..SourceOptions::default() };
            let mut source = Source::open(&SourceAddress::new(&address), &options).unwrap();
            assert_eq!((source.kind(), source.codec()), (SourceKind::Live, "snapshots"), "{extension}");
            for _ in 0..3 {
                assert_eq!(source.next_picture().unwrap().unwrap().bytes, picture, "{extension}");
            }
        }
    }
}

#[test]
fn a_jpeg_with_its_end_is_whole_whatever_its_stated_length() {
    let picture = picture(".jpg", 9);
    for more in [0, 500] {
        let head = format!(
            "HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            picture.len() + more
        );
        let mut source = open(&start_server(vec![[head.as_bytes(), &picture].concat()], Duration::ZERO));
        assert_eq!(source.next_picture().unwrap().unwrap().bytes, picture);
        assert_eq!(source.counts().damaged, 0);
    }
}

#[test]
fn a_configured_web_camera_is_never_a_recording() {
    let address = start_server(file_response(&variable_rate(), true), Duration::ZERO);
    for path in ["recording", "recording.mp4"] {
        let address = SourceAddress::new(&format!("{address}/{path}"));
        let options = SourceOptions { is_camera: true, ..SourceOptions::default() };
        let mut source = Source::open(&address, &options).unwrap();
        assert_eq!(source.kind(), SourceKind::Live);
        let mut count = 0;
        // It connects again at the end.
        while count < 10 {
            count += usize::from(matches!(source.read().unwrap(), Reading::Picture(_)));
        }
        assert_eq!(source.kind(), SourceKind::Live);
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_told_from_a_missing_host() {
    let redirect = b"HTTP/1.0 302 Found\r\nLocation: /again\r\n\r\n".to_vec();
    let address = start_server(vec![redirect], Duration::ZERO);
    for (address, expected) in [
        (
            address.as_str(),
            "the server's answer cannot be read (too many redirects, or the connection broke)",
        ),
        ("http://no-such-host.invalid/", "cannot be reached: no such host, or the network does not reach it"),
        ("rtsp://no-such-host.invalid/", "cannot be reached: no such host, or the network does not reach it"),
    ] {
        let Err(SourceError::NotVideo(_, fault)) =
            Source::open(&SourceAddress::new(address), &SourceOptions::default())
        else {
            panic!("{address}")
        };
        assert_eq!(fault.to_string(), expected, "{address}");
    }
}

#[test]
fn pictures_beyond_the_rate_are_left_out() {
    let pictures: Vec<(u32, Vec<u8>)> = (0..10).map(|number| 100 * number).zip(shades(10)).collect();
    let options = SourceOptions { max_fps: Some(5.0), ..SourceOptions::default() };
    let mut source =
        Source::open(&SourceAddress::new(&file("a.mkv", &matroska(&pictures))), &options).unwrap();
    assert_eq!(times(&mut source), [0, 200, 400, 600, 800]);
}

#[test]
fn a_camera_that_is_off_is_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let address = SourceAddress::new(&format!("http://127.0.0.1:{port}/stream"));
    let mut source = Source::wait_for(&address, &SourceOptions::default()).unwrap();
    let fault = loop {
        if let Reading::Lost(fault) = source.read().unwrap() {
            break fault;
        }
    };
    assert_eq!(fault.to_string(), "nothing listens there: the connection was refused");
    assert!(Source::open(&address, &SourceOptions::default()).is_err());
}
