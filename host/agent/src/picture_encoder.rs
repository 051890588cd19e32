//! Makes JPEG pictures of decoded ones: scaled, upright, in the colours of JPEG.

use super::decoder::DecodedPicture;
use super::fault::Fault;
use super::jpeg::encode_jpeg;
use super::planes::{Planes, copy, expand_colour, expand_luma};
use super::view::View;

/// Encodes the pictures of one source.
pub(super) struct PictureEncoder {
    quality: i32,
    max_side: Option<u32>,
    planes: Planes,
    scratch: Vec<u8>,
}

impl PictureEncoder {
    /// An encoder of this JPEG quality, 1 to 100. Pictures with a longer side are scaled down to `max_side` pixels.
    pub fn new(quality: i32, max_side: Option<u32>) -> Self {
        Self { quality, max_side, planes: Planes::default(), scratch: Vec::new() }
    }

    /// Encodes a picture. `view` asks for what it shows, too.
    ///
    /// # Errors
    ///
    /// Its pixels cannot be converted: skip it.
    pub fn encode(
        &mut self,
        picture: &mut DecodedPicture<'_>,
        wants_view: bool,
    ) -> Result<(Vec<u8>, Option<View>), Fault> {
        let colours = picture.colours;
        let (width, height) = scaled_size((picture.width, picture.height), self.max_side);
        self.planes.resize(width as usize, height as usize);
        if (width, height) == (picture.width, picture.height) && picture.rows(0).is_some() {
            for (number, plane) in self.planes.0.iter_mut().enumerate() {
                let Some(rows) = picture.rows(number) else { continue };
                match (colours.is_full_range, number) {
                    (true, _) => plane.fill(rows, copy),
                    (false, 0) => plane.fill(rows, expand_luma),
                    (false, _) => plane.fill(rows, expand_colour),
                }
            }
        } else {
            let strides = [0, 1, 2].map(|plane: usize| self.planes.0[plane].stride);
            let [luma, blue, red] = &mut self.planes.0;
            picture.scale(
                (width, height),
                [&mut luma.samples, &mut blue.samples, &mut red.samples],
                strides,
            )?;
        }
        if colours.is_bt709 && !colours.is_rgb {
            self.planes.convert_bt709();
        }
        self.planes.rotate(picture.rotation);
        self.planes.pad();
        let view = wants_view.then(|| View::of_luma(&self.planes.0[0]));
        let [luma, blue, red] = &self.planes.0;
        let size = (luma.width as u32, luma.height as u32);
        let planes = [luma, blue, red].map(|plane| plane.samples.as_slice());
        let strides = [luma.stride, blue.stride, red.stride];
        Ok((encode_jpeg(size, self.quality, planes, strides, &mut self.scratch)?, view))
    }
}

/// The size of a picture whose longer side is at most `max_side`.
pub(super) fn scaled_size((width, height): (u32, u32), max_side: Option<u32>) -> (u32, u32) {
    let longer = width.max(height);
    match max_side {
        Some(max) if longer > max => {
            let scaled = |side: u32| {
                let scaled = (u64::from(side) * u64::from(max) + u64::from(longer) / 2) / u64::from(longer);
                u32::try_from(scaled).unwrap_or(max).max(1)
            };
            (scaled(width), scaled(height))
        }
        _ => (width, height),
    }
}

#[cfg(test)]
mod tests {
    use super::scaled_size;

    #[test]
    fn the_longer_side_is_scaled_to_the_limit() {
        assert_eq!(scaled_size((1920, 1080), Some(960)), (960, 540));
        assert_eq!(scaled_size((1080, 1920), Some(960)), (540, 960));
        assert_eq!(scaled_size((1920, 1080), Some(1920)), (1920, 1080));
        assert_eq!(scaled_size((1920, 1080), None), (1920, 1080));
        assert_eq!(scaled_size((4000, 1), Some(100)), (100, 1));
    }
}
