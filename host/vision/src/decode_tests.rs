//! Pictures, whole and broken, through the decoder.

use super::*;
use crate::orientation::Orientation;
use crate::test_images;
use opencv::core::Vec3b;
use opencv::imgcodecs;
use proptest::prelude::*;

fn decoder() -> Decoder {
    Decoder::new(&VisionSettings::default())
}

fn header_of(bytes: &[u8]) -> Header {
    inspect(bytes, 1 << 24).unwrap()
}

#[test]
fn a_jpeg_is_reduced_while_it_stays_large_enough() {
    let header =
        |width, height| Header { format: Format::Jpeg, width, height, orientation: Orientation::Upright };
    assert_eq!(choose_reduction(header(640, 360), 640), 1);
    assert_eq!(choose_reduction(header(960, 540), 640), 1);
    assert_eq!(choose_reduction(header(1920, 1080), 640), 2);
    assert_eq!(choose_reduction(header(1080, 1920), 960), 2);
    assert_eq!(choose_reduction(header(3840, 2160), 640), 4);
    assert_eq!(choose_reduction(header(8000, 6000), 640), 8);
    assert_eq!(choose_reduction(header(4000, 3999), 640), 4);
    assert_eq!(choose_reduction(Header { format: Format::Png, ..header(8000, 6000) }, 640), 1);
}

#[test]
fn the_longer_side_is_scaled_to_the_wanted_size() {
    assert_eq!(fit_size(Size::new(640, 360), 640), Size::new(640, 360));
    assert_eq!(fit_size(Size::new(960, 540), 640), Size::new(640, 360));
    assert_eq!(fit_size(Size::new(540, 960), 640), Size::new(360, 640));
    assert_eq!(fit_size(Size::new(5000, 1), 100), Size::new(100, 1));
}

#[test]
fn jpeg_pixels_are_those_of_opencv() {
    let flags = [
        (1, imgcodecs::IMREAD_COLOR),
        (2, imgcodecs::IMREAD_REDUCED_COLOR_2),
        (4, imgcodecs::IMREAD_REDUCED_COLOR_4),
        (8, imgcodecs::IMREAD_REDUCED_COLOR_8),
    ];
    let plain = test_images::encoded(".jpg", 333, 217);
    for (reduction, flags) in flags {
        for orientation in 0..=9 {
            for bytes in [test_images::oriented(&plain, orientation), test_images::grey(".jpg")] {
                let input = Mat::from_slice(&bytes).unwrap();
                let expected = imgcodecs::imdecode(&input, flags).unwrap();
                let mut ours = decoder();
                ours.decode(&bytes, header_of(&bytes), reduction).unwrap();
                assert_eq!(ours.decoded.size().unwrap(), expected.size().unwrap());
                assert!(
                    ours.decoded.data_bytes().unwrap() == expected.data_bytes().unwrap(),
                    "at 1/{reduction}, orientation {orientation}"
                );
            }
        }
    }
}

/// The pixels of a picture, decoded by a new decoder.
fn decoded(bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
    let mut decoder = decoder();
    let header = inspect(bytes, 1 << 24)?;
    Ok(decoder.decode_full(bytes, header, &[])?.data_bytes().unwrap().to_vec())
}

fn reason(bytes: &[u8]) -> &'static str {
    decoded(bytes).map_or_else(|error| error.reason(), |_| "whole")
}

/// The start of each scan, and the end of the picture.
fn scans(jpeg: &[u8]) -> Vec<usize> {
    let mut starts: Vec<usize> =
        jpeg.windows(2).enumerate().filter(|(_, w)| *w == [0xff, 0xda]).map(|(at, _)| at).collect();
    starts.push(jpeg.len() - 2);
    starts
}

#[test]
fn every_truncation_is_detected() {
    let jpegs = [
        test_images::encoded(".jpg", 64, 48),
        test_images::progressive(64, 48),
        test_images::with_restarts(64, 48, 2),
        test_images::grey(".jpg"),
    ];
    for bytes in &jpegs {
        for end in 1..bytes.len() - 2 {
            let ended = [&bytes[..end], b"\xff\xd9"].concat();
            assert_eq!(reason(&bytes[..end]), "truncated", "cut at {end} of {}", bytes.len());
            assert_ne!(reason(&ended), "whole", "cut at {end} of {}, with an end marker", bytes.len());
        }
        assert_eq!(reason(&bytes[..bytes.len() - 40]), "truncated");
        assert_eq!(reason(&[&bytes[..bytes.len() - 40], b"\xff\xd9"].concat()), "truncated");
    }
    for extension in [".png", ".webp"] {
        let bytes = test_images::encoded(extension, 64, 48);
        for end in 12..bytes.len() {
            assert_eq!(reason(&bytes[..end]), "truncated", "{extension} cut at {end}");
        }
    }
}

#[test]
fn a_jpeg_without_its_end_marker_is_complete() {
    for bytes in [
        test_images::encoded(".jpg", 64, 48),
        test_images::progressive(64, 48),
        test_images::with_restarts(64, 48, 2),
    ] {
        let whole = decoded(&bytes).unwrap();
        for end in [bytes.len() - 1, bytes.len() - 2] {
            assert!(decoded(&bytes[..end]).unwrap() == whole);
        }
        // Padding of a buffer that is larger than its picture.
        for tail in [&[0u8; 700][..], &[0xff; 700]] {
            assert!(decoded(&[&bytes[..bytes.len() - 2], tail].concat()).unwrap() == whole);
        }
    }
}

#[test]
fn a_progressive_jpeg_without_its_last_scans_is_truncated() {
    let bytes = test_images::progressive(64, 48);
    let scans = scans(&bytes);
    assert!(scans.len() > 5);
    for end in &scans[1..scans.len() - 1] {
        assert_eq!(reason(&[&bytes[..*end], b"\xff\xd9"].concat()), "truncated", "at {end}");
    }
}

#[test]
fn missing_data_in_the_middle_are_detected() {
    let plain = test_images::encoded(".jpg", 320, 240);
    let start = scans(&plain)[0] + 14;
    let lost = [&plain[..start + 300], &plain[start + 700..]].concat();
    assert!(matches!(reason(&lost), "truncated" | "damaged"), "{}", reason(&lost));
    let end = plain.len() - 2;
    let stray = [&plain[..end], &plain[start + 300..start + 700], &plain[end..]].concat();
    assert_eq!(reason(&stray), "damaged");

    let restarts = test_images::with_restarts(320, 240, 20);
    let marks: Vec<usize> = (0..restarts.len() - 1)
        .filter(|at| restarts[*at] == 0xff && (0xd0..=0xd7).contains(&restarts[at + 1]))
        .collect();
    let lost = [&restarts[..marks[1] - 30], &restarts[marks[1]..]].concat();
    assert_eq!(reason(&lost), "damaged", "part of an interval");
    let lost = [&restarts[..marks[1]], &restarts[marks[2]..]].concat();
    assert_eq!(reason(&lost), "damaged", "an interval with its marker");
}

#[test]
fn oddities_that_change_no_pixel_are_allowed() {
    let plain = test_images::encoded(".jpg", 64, 48);
    let whole = decoded(&plain).unwrap();
    let end = plain.len() - 2;
    let mut jfif = plain.clone();
    // The major version of JFIF.
    jfif[11] = 7;
    let odd = [
        jfif,
        [&plain[..end], &[0; 500], &plain[end..]].concat(),
        [&plain[..end], &[0x55; 20], &plain[end..]].concat(),
        [&plain[..], b"a trailer of the camera's maker"].concat(),
        test_images::with_app1(&plain, &test_images::encoded(".jpg", 16, 16)),
    ];
    for (n, bytes) in odd.iter().enumerate() {
        assert!(decoded(bytes).unwrap() == whole, "oddity {n}");
    }
}

#[test]
fn a_harmless_warning_does_not_hide_missing_data() {
    let mut bytes = test_images::encoded(".jpg", 64, 48);
    bytes[11] = 7;
    let cut = [&bytes[..bytes.len() - 40], b"\xff\xd9"].concat();
    assert_eq!(reason(&cut), "truncated");
}

#[test]
fn too_many_scans_are_refused_with_or_without_exif() {
    let bytes = test_images::progressive(64, 48);
    let scans = scans(&bytes);
    // Without the tables after it, which are the next one's.
    let tables = bytes[scans[1]..].windows(2).position(|w| w == [0xff, 0xc4]).unwrap();
    let (before, after) = bytes.split_at(scans[1] + tables);
    let many = [before, &before[scans[1]..].repeat(200)[..], after].concat();
    for bytes in [many.clone(), test_images::oriented(&many, 6), test_images::oriented(&many, 1)] {
        assert_eq!(reason(&bytes), "too-many-scans");
    }
}

#[test]
fn a_picture_that_takes_too_long_is_refused() {
    let mut decoder = decoder();
    decoder.max_time = Duration::ZERO;
    let interlaced = std::fs::read("../../tests/fixtures/pictures/png-interlaced.png").unwrap();
    for bytes in [
        test_images::encoded(".jpg", 1600, 1200),
        test_images::progressive(1600, 1200),
        test_images::encoded(".png", 160, 120),
        interlaced,
    ] {
        let error = decoder.decode_full(&bytes, header_of(&bytes), &[]).map(|_| ()).unwrap_err();
        assert_eq!(error.reason(), "too-slow");
    }
}

#[test]
fn png_pixels_are_those_of_opencv() {
    let folder = "../../tests/fixtures/pictures";
    for name in ["png-plain.png", "png-transparent.png", "png-interlaced.png"] {
        let bytes = std::fs::read(format!("{folder}/{name}")).unwrap();
        let input = Mat::from_slice(&bytes).unwrap();
        let expected = imgcodecs::imdecode(&input, imgcodecs::IMREAD_COLOR).unwrap();
        assert!(decoded(&bytes).unwrap() == expected.data_bytes().unwrap(), "{name}");
    }
}

#[test]
fn a_webp_may_announce_chunks_that_it_does_not_have() {
    for name in ["webp-plain.webp", "webp-lossless.webp"] {
        let plain = std::fs::read(format!("../../tests/fixtures/pictures/{name}")).unwrap();
        let (width, height) = inspect(&plain, 1 << 24).unwrap().upright_size();
        let extended = test_images::webp_with_exif(&plain, width, height, b"");
        for flags in [0x08, 0x10, 0x04, 0x1c] {
            let mut bytes = extended.clone();
            bytes[20] = flags;
            // Without the chunk EXIF, which is the last and empty.
            bytes.truncate(bytes.len() - 8);
            let length = bytes.len() as u32 - 8;
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            assert!(decoded(&bytes).unwrap() == decoded(&plain).unwrap(), "{name} with flags {flags:#04x}");
        }
    }
}

#[test]
fn texts_and_profiles_of_a_png_are_ignored() {
    let png = test_images::encoded(".png", 64, 48);
    // A chunk that libpng would refuse, and with it the picture.
    for kind in [b"iCCP", b"zTXt", b"tEXt", b"gAMA"] {
        assert!(
            decoded(&test_images::with_png_chunk(&png, kind, b"nonsense")).unwrap() == decoded(&png).unwrap()
        );
    }
}

#[test]
fn rotated_pictures_are_upright_in_every_format() {
    // A spot at (1200, 420) of 1600 × 900, in the quarter turn clockwise.
    let spots: Vec<_> =
        [".jpg", ".png", ".webp"].map(|extension| test_images::spot(extension, 1600, 900, 1200, 420)).into();
    let turned = [
        test_images::oriented(&spots[0], 6),
        test_images::with_app1(&test_images::oriented(&spots[0], 6), b"http://ns.adobe.com/xap/1.0/\0"),
        test_images::with_png_chunk(&spots[1], b"eXIf", &test_images::exif(6)),
        test_images::webp_with_exif(&spots[2], 1600, 900, &test_images::exif(6)),
    ];
    // Everything but the place of the spot.
    let around = [
        Polygon::from(vec![(0.0, 0.0), (1.0, 0.0), (1.0, 0.7), (0.0, 0.7)]),
        Polygon::from(vec![(0.7, 0.0), (1.0, 0.0), (1.0, 1.0), (0.7, 1.0)]),
    ];
    for (n, bytes) in turned.iter().enumerate() {
        let mut decoder = decoder();
        let masks: Vec<&Polygon> = around.iter().collect();
        let seen = decoder.decode_within(bytes, header_of(bytes), &masks, 800).unwrap();
        assert_eq!((seen.width, seen.height), (900, 1600), "picture {n}");
        let (x, y) = test_images::centre_of_white_above(seen.pixels, 200);
        let (x, y) = (x * seen.scale.0, y * seen.scale.1);
        assert!((x - (900.0 - 420.0)).abs() < 4.0 && (y - 1200.0).abs() < 4.0, "picture {n}: {x}, {y}");
    }
}

#[test]
fn a_spot_is_in_the_same_place_at_every_size() {
    // A white square with its centre at (1200, 420) in 1600 × 900.
    for extension in [".jpg", ".png", ".webp"] {
        let bytes = test_images::spot(extension, 1600, 900, 1200, 420);
        let header = header_of(&bytes);
        for max_side in [1600, 1000, 800, 500, 250] {
            let mut decoder = decoder();
            let seen = decoder.decode_within(&bytes, header, &[], max_side).unwrap();
            assert_eq!((seen.width, seen.height), (1600, 900));
            let size = seen.pixels.size().unwrap();
            assert!(size.width as u32 <= max_side);
            let (x, y) = test_images::centre_of_white(seen.pixels);
            let (x, y) = (x * seen.scale.0, y * seen.scale.1);
            assert!((x - 1200.0).abs() < 4.0 && (y - 420.0).abs() < 4.0, "{extension} {max_side}: {x}, {y}");
        }
    }
}

#[test]
fn exif_orientation_applies_at_every_size() {
    // Orientation 6: the camera was held turned; a viewer turns the picture clockwise by 90 degrees.
    let bytes = test_images::oriented(&test_images::spot(".jpg", 1600, 900, 1200, 420), 6);
    let header = header_of(&bytes);
    assert_eq!((header.width, header.height), (1600, 900));
    for max_side in [1600, 800, 400] {
        let mut decoder = decoder();
        let seen = decoder.decode_within(&bytes, header, &[], max_side).unwrap();
        assert_eq!((seen.width, seen.height), (900, 1600), "{max_side}");
        let (x, y) = test_images::centre_of_white(seen.pixels);
        let (x, y) = (x * seen.scale.0, y * seen.scale.1);
        assert!((x - (900.0 - 420.0)).abs() < 4.0 && (y - 1200.0).abs() < 4.0, "{max_side}: {x}, {y}");
    }
}

#[test]
fn a_single_pixel_is_a_picture() {
    for extension in [".jpg", ".png", ".webp"] {
        let bytes = test_images::encoded(extension, 1, 1);
        let mut decoder = decoder();
        let seen = decoder.decode_within(&bytes, header_of(&bytes), &[], 640).unwrap();
        assert_eq!(seen.pixels.data_bytes().unwrap().len(), 3);
    }
}

#[test]
fn grey_and_transparent_pictures_get_three_channels() {
    for bytes in [
        test_images::grey(".jpg"),
        test_images::grey(".png"),
        test_images::transparent(".png"),
        test_images::transparent(".webp"),
    ] {
        let mut decoder = decoder();
        let seen = decoder.decode_within(&bytes, header_of(&bytes), &[], 640).unwrap();
        assert_eq!(seen.pixels.channels(), 3);
        assert_eq!(seen.pixels.depth(), opencv::core::CV_8U);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_decoder_shows_nothing_of_the_previous_picture(
        first in 0usize..6,
        second in 0usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let picture = |which: usize| match which {
            0 => test_images::encoded(".png", 150, 90),
            1 => test_images::encoded(".webp", 150, 90),
            2 => test_images::encoded(".jpg", 150, 90),
            3 => test_images::progressive(150, 90),
            4 => test_images::oriented(&test_images::spot(".jpg", 150, 90, 60, 40), 6),
            _ => test_images::with_restarts(150, 90, 3),
        };
        let mut bytes = picture(second);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let mut used = decoder();
        let before = picture(first);
        used.decode_full(&before, header_of(&before), &[]).unwrap();
        let after = inspect(&bytes, 1 << 24)
            .and_then(|header| Ok(used.decode_full(&bytes, header, &[])?.data_bytes().unwrap().to_vec()));
        prop_assert!(after == decoded(&bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_pictures_never_cause_a_panic(
        which in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        max_side in prop::sample::select(vec![1u32, 20, 64, 640]),
    ) {
        let mut bytes = test_images::encoded([".jpg", ".png", ".webp"][which], 150, 90);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let mut decoder = decoder();
        let seen = inspect(&bytes, 1 << 20).and_then(|h| decoder.decode_within(&bytes, h, &[], max_side));
        match seen {
            Ok(seen) => {
                prop_assert!(seen.pixels.size().unwrap().width as u32 <= max_side);
                prop_assert_eq!(seen.pixels.channels(), 3);
            }
            Err(error) => prop_assert!(!error.is_hosts_fault()),
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_with_a_reason(
        magic in prop::sample::select(vec![&b""[..], b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 "]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [magic, &rest].concat();
        let mut decoder = decoder();
        if let Err(error) = inspect(&bytes, 1 << 20).and_then(|h| decoder.decode_within(&bytes, h, &[], 640).map(|_| ())) {
            prop_assert!(!error.reason().is_empty());
        }
    }
}

#[test]
fn masked_parts_are_grey_at_every_size() {
    let bytes = test_images::spot(".jpg", 640, 480, 160, 240);
    let left = Polygon::from(vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]);
    for max_side in [640, 320, 100] {
        let mut decoder = decoder();
        let size = |pixels: &Mat| (pixels.cols(), pixels.rows());
        let at = |pixels: &Mat, x: i32, y: i32| pixels.at_2d::<Vec3b>(y, x).unwrap()[0];
        let seen = decoder.decode_within(&bytes, header_of(&bytes), &[], max_side).unwrap();
        let (width, height) = size(seen.pixels);
        assert!(at(seen.pixels, width / 4, height / 2) > 200, "the spot");
        let beside = at(seen.pixels, 3 * width / 4, height / 2);
        let seen = decoder.decode_within(&bytes, header_of(&bytes), &[&left], max_side).unwrap();
        assert_eq!(at(seen.pixels, width / 4, height / 2), 128);
        assert_eq!(at(seen.pixels, 3 * width / 4, height / 2), beside);
    }
    let mut decoder = decoder();
    let full = decoder.decode_full(&bytes, header_of(&bytes), &[&left]).unwrap();
    assert_eq!(full.at_2d::<Vec3b>(240, 160).unwrap()[0], 128);
}
