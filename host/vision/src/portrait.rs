//! Pictures of people for measuring accuracy: each is shown at several sizes, also blurred or badly lit.

use opencv::core::{self, BORDER_CONSTANT, CV_8UC3, Mat, MatTraitConst, MatTraitManual, Scalar, Size};
use opencv::imgproc;

use super::codecs::encode_png;
use super::decode::Decoder;
use super::error::PictureError;
use super::header::inspect;
use super::pnm;
use everyframe_config::VisionSettings;

/// A picture of one person, in memory at full size.
#[derive(Debug, Clone)]
pub struct Portrait(Mat);

/// What is wrong with a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Degradation {
    /// Blurred by a Gaussian; its standard deviation is this share of the face's height.
    Blurred(f32),
    /// All values are multiplied by this factor and rounded, and clipped at 255: below 1 underexposed, above 1 overexposed.
    Exposed(f32),
}

impl Portrait {
    /// Decodes a JPEG, PNG, WebP or binary PGM or PPM, and adds a black border of half its longer side: the detector finds
    /// no face that fills the picture. The crop of a face at the edge of a frame is black outside the picture, too.
    ///
    /// # Errors
    ///
    /// The bytes are not such a picture, or are damaged: leave it out.
    pub fn decode(bytes: &[u8]) -> Result<Self, PictureError> {
        let picture = decode(bytes)?;
        let (mut bordered, border) = (Mat::default(), picture.rows().max(picture.cols()) / 2);
        let black = Scalar::default();
        core::copy_make_border(
            &picture,
            &mut bordered,
            border,
            border,
            border,
            border,
            BORDER_CONSTANT,
            black,
        )
        .map_err(PictureError::unreadable)?;
        Ok(Self(bordered))
    }

    /// The picture scaled by `scale` (above 0), as PNG.
    ///
    /// # Errors
    ///
    /// OpenCV cannot scale or encode it: leave it out.
    pub fn encode(&self, scale: f32) -> Result<Vec<u8>, PictureError> {
        encode_png(&self.scaled(scale)?)
    }

    /// The picture scaled by `scale` (above 0) and degraded, as PNG. The face is then `face_height` pixels high.
    ///
    /// # Errors
    ///
    /// As [`Portrait::encode`].
    pub fn encode_degraded(
        &self,
        scale: f32,
        face_height: f32,
        degradation: Degradation,
    ) -> Result<Vec<u8>, PictureError> {
        let (picture, mut degraded) = (self.scaled(scale)?, Mat::default());
        match degradation {
            Degradation::Blurred(share) => {
                let deviation = f64::from(share * face_height);
                let (size, border) = (Size::default(), core::BORDER_REFLECT_101);
                imgproc::gaussian_blur(&picture, &mut degraded, size, deviation, deviation, border)
            }
            Degradation::Exposed(factor) => picture.convert_to(&mut degraded, -1, f64::from(factor), 0.0),
        }
        .map_err(PictureError::unreadable)?;
        encode_png(&degraded)
    }

    fn scaled(&self, scale: f32) -> Result<Mat, PictureError> {
        let side = |full: i32| ((full as f32 * scale).round() as i32).max(1);
        let (size, mut scaled) = (Size::new(side(self.0.cols()), side(self.0.rows())), Mat::default());
        let interpolation = if scale < 1.0 { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
        imgproc::resize(&self.0, &mut scaled, size, 0.0, 0.0, interpolation)
            .map_err(PictureError::unreadable)?;
        Ok(scaled)
    }
}

fn decode(bytes: &[u8]) -> Result<Mat, PictureError> {
    if pnm::is_pnm(bytes) {
        let samples = pnm::decode(bytes)?;
        let (rows, columns) = (samples.height.cast_signed(), samples.width.cast_signed());
        let mut picture = Mat::new_rows_cols_with_default(rows, columns, CV_8UC3, Scalar::default())
            .map_err(PictureError::unreadable)?;
        samples.write_bgr(picture.data_bytes_mut().map_err(PictureError::unreadable)?);
        return Ok(picture);
    }
    let settings = VisionSettings::default();
    let header = inspect(bytes, settings.max_pixels)?;
    Ok(Decoder::new(&settings).decode_full(bytes, header, &[])?.clone())
}
