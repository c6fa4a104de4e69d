//! Taking images in: from what a column holds to planes of one shape.

use serde_json::json;

use super::decode::{self, Fault, Samples};
use super::geometry::Geometry;
use super::resample::{Pixels, Resampler, Window};
use crate::features::column::ArrayShape;
use crate::features::error::Error;
use crate::features::quoting::features_argument;
use crate::features::rows::arrays::{Arrays, Real};
use crate::features::treatment::{TakesIn, check_finite, no_value};

/// Takes the images of a column in, row by row: whatever they are, what comes out are planes of
/// the shape that the first of them, or the geometry, says.
#[derive(Clone, Debug)]
pub(in crate::features) struct ImageIntake {
    geometry: Geometry,
    /// Bytes that a decoded image may take.
    memory: usize,
    resampler: Resampler,
    planes: Vec<f32>,
}

impl TakesIn for Box<ImageIntake> {
    /// That of the images that the column holds; none before the first.
    fn shape(&self) -> Option<ArrayShape> {
        self.geometry.shape.map(ArrayShape::image)
    }

    fn array<T: Real>(
        &mut self,
        column: &str,
        dims: &[usize],
        into: &mut Arrays<T>,
    ) -> Result<(), Error> {
        let start = into.start();
        let numbers = into.open().get(start..).unwrap_or_default();
        check_finite(column, "an image", numbers)?;
        self.planes(column, dims, singles(column, into)?)
    }

    fn empty<T: Real>(&mut self, column: &str, _into: &mut Arrays<T>) -> Result<(), Error> {
        Err(no_value(column, "an image", "is empty"))
    }

    fn bytes<T: Real>(
        &mut self,
        column: &str,
        bytes: &[u8],
        into: &mut Arrays<T>,
    ) -> Result<(), Error> {
        self.image(column, bytes, singles(column, into)?)
    }

    fn missing<T: Real>(&mut self, column: &str, _into: &mut Arrays<T>) -> Result<(), Error> {
        Err(no_value(column, "an image", "is NULL"))
    }
}

fn singles<'a, T: Real>(column: &str, into: &'a mut Arrays<T>) -> Result<&'a mut Arrays, Error> {
    T::singles(into).ok_or_else(|| {
        Error::invalid(format!(
            "the images of column \"{column}\" are held in double precision"
        ))
    })
}

impl ImageIntake {
    pub fn new(geometry: Geometry, memory: usize) -> ImageIntake {
        ImageIntake {
            geometry,
            memory,
            resampler: Resampler::default(),
            planes: Vec::new(),
        }
    }

    /// Takes in the numbers behind the last row of `into`, an array of these dimensions.
    fn planes(&mut self, column: &str, dims: &[usize], into: &mut Arrays) -> Result<(), Error> {
        let geometry = &mut self.geometry;
        let given = geometry.of_array(column, dims)?;
        geometry.settle(column, given)?;
        let start = into.start();
        let window = Window::of_array(geometry, given, column)?;
        if !geometry.channels_last && window.is_whole([given[1], given[2]]) {
            into.close();
            return Ok(());
        }
        let data = into.open().get(start..).unwrap_or_default();
        let pixels = Pixels::new(data, given, geometry.channels_last);
        self.planes.clear();
        for channel in 0..given[0] {
            self.resampler
                .plane(&pixels, channel, &window, &mut self.planes);
        }
        into.open().truncate(start);
        into.push(&self.planes);
        Ok(())
    }

    /// Takes in an encoded image, or the bytes of the pixels themselves.
    fn image(&mut self, column: &str, bytes: &[u8], into: &mut Arrays) -> Result<(), Error> {
        let raw = self.geometry.shape.filter(|shape| {
            let size: usize = shape.iter().product();
            bytes.len() == size
        });
        if let Some(format) = decode::format(bytes, raw.is_some()) {
            return self.encoded(column, bytes, format, into);
        }
        let Some(shape) = raw else {
            return Err(self.neither(column, bytes.len()));
        };
        let pixels = Pixels::new(bytes, shape, self.geometry.channels_last);
        let window = Window::of_array(&self.geometry, shape, column)?;
        let into_planes = into.open();
        for channel in 0..shape[0] {
            self.resampler.plane(&pixels, channel, &window, into_planes);
        }
        into.close();
        Ok(())
    }

    fn encoded(
        &mut self,
        column: &str,
        bytes: &[u8],
        format: decode::Format,
        into: &mut Arrays,
    ) -> Result<(), Error> {
        let image = decode::decode(bytes, format, self.memory).map_err(|fault| match fault {
            Fault::Broken(why) => Error::invalid(format!(
                "an image in column \"{column}\" cannot be decoded: {why}"
            ))
            .with_hint(
                "The bytes must be a whole PNG or JPEG file, or raw pixels with a \"shape\".",
            ),
            Fault::Refused(refused) => refused.into(),
            Fault::TooLarge { width, height } => Error::Memory {
                message: format!(
                    "an image of {width} × {height} pixels in column \"{column}\" would take more \
                     than {} kB when decoded",
                    self.memory / 1024
                ),
            },
        })?;
        let (size, channels) = ([image.height, image.width], image.channels);
        let natural = if channels > 2 { 3 } else { 1 };
        let shape = *self
            .geometry
            .shape
            .get_or_insert([natural, size[0], size[1]]);
        let wanted = shape[0];
        if !matches!(wanted, 1 | 3 | 4) {
            return Err(Error::invalid(format!(
                "an encoded image in column \"{column}\" cannot have {wanted} channels"
            ))
            .with_hint("PNG and JPEG give 1 channel (grey), 3 (RGB) or 4 (with opacity)."));
        }
        let window = Window::of_encoded(&self.geometry, shape, size, column)?;
        let planes = &mut self.planes;
        planes.clear();
        let resampler = &mut self.resampler;
        let given = [channels, size[0], size[1]];
        match &image.samples {
            Samples::Bytes(data) => {
                let pixels = Pixels::new(data, given, true);
                (0..channels).for_each(|c| resampler.plane(&pixels, c, &window, planes));
            }
            Samples::Words(data) => {
                let pixels = Pixels::new(data, given, true);
                (0..channels).for_each(|c| resampler.plane(&pixels, c, &window, planes));
                // Sixteen bits a sample mean the same as eight, only finer.
                planes.iter_mut().for_each(|value| *value /= 257.0);
            }
        }
        convert_channels(planes, channels, wanted, into.open());
        into.close();
        Ok(())
    }

    fn neither(&self, column: &str, length: usize) -> Error {
        match self.geometry.shape {
            Some(shape @ [c, h, w]) => Error::invalid(format!(
                "column \"{column}\" holds {length} bytes that are neither a PNG or JPEG file nor \
                 {} pixels",
                shape.iter().product::<usize>()
            ))
            .with_hint(format!(
                "The shape [{c}, {h}, {w}] takes a byte for each pixel and channel."
            )),
            None => Error::invalid(format!(
                "column \"{column}\" holds {length} bytes that are neither a PNG nor a JPEG file"
            ))
            .with_hint(format!(
                "Raw pixels need their shape: {}.",
                features_argument(column, &json!({"type": "image", "shape": [1, 28, 28]}))
            )),
        }
    }
}

/// Planes of grey or colour, with or without opacity, as planes of another number.
fn convert_channels(planes: &[f32], given: usize, wanted: usize, into: &mut Vec<f32>) {
    let area = planes.len() / given.max(1);
    let plane = |channel: usize| &planes[channel * area..(channel + 1) * area];
    let colours = if given > 2 { 3 } else { 1 };
    match (colours, wanted) {
        (3, 1) => {
            // The luma of ITU-R BT.601, as Pillow and torchvision have it.
            let colours = plane(0).iter().zip(plane(1)).zip(plane(2));
            into.extend(colours.map(|((r, g), b)| 0.299 * r + 0.587 * g + 0.114 * b));
        }
        (1, 1) => into.extend_from_slice(plane(0)),
        _ => (0..3).for_each(|channel| into.extend_from_slice(plane(channel.min(colours - 1)))),
    }
    match (wanted, given) {
        (4, 2 | 4) => into.extend_from_slice(plane(given - 1)),
        (4, _) => into.resize(into.len() + area, 255.0),
        _ => {}
    }
}
