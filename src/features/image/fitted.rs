//! What a version keeps of an image's treatment, and what is known of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::encode::{ImageEncoder, Line};
use super::geometry::Geometry;
use super::intake::ImageIntake;
use crate::features::column::{ArrayShape, Column, Kind, Origin};
use crate::features::treatment::{Learnt, MAX_INPUTS, TreatmentType};
use crate::nn::{Augmentation, InputForm};

/// Images.
pub(in crate::features) const TREATMENT: TreatmentType = TreatmentType {
    name: "image",
    dimensions: Some(3),
    takes: |origin| origin.is_numbers() || origin == Origin::Bytes,
    suits: |origin| origin == Origin::Bytes,
    told_as: Some(("real[]", Origin::NumberArray)),
};

/// An input a pixel and channel, channel after channel: `(value / scale − mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// How the images lie, their shape known.
    pub geometry: Geometry,
    /// What values are divided by.
    pub scale: f64,
    /// What is then subtracted: none, one number, or one a channel.
    pub mean: Vec<f64>,
    /// What is then divided by: none, one number, or one a channel.
    pub std: Vec<f64>,
    /// How images are varied while training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
}

/// How images are varied at random while training, each time another way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Whether half of the images are mirrored left to right.
    #[serde(default)]
    pub horizontal: bool,
    /// Whether half of the images are mirrored top to bottom.
    #[serde(default)]
    pub vertical: bool,
    /// Black pixels that are put around the image before a piece of its size is cut out.
    #[serde(default)]
    pub crop: usize,
    /// How far the image moves at most: pixels, or a share of its sides when less than 1.
    #[serde(default)]
    pub shift: f64,
}

impl Augment {
    /// Most pixels that an image moves up or down, and sideways.
    pub fn reach(&self, height: usize, width: usize) -> [usize; 2] {
        [height, width].map(|side| {
            let shift = if self.shift < 1.0 {
                self.shift * side as f64
            } else {
                self.shift
            };
            (self.crop + shift.round() as usize).min(side)
        })
    }
}

/// Most values of an image before it is resized or cropped.
const MAX_PIXELS: usize = 1 << 31;

impl Image {
    /// Of each channel what its values are multiplied by, and what is added.
    fn lines(&self) -> Box<[Line]> {
        let of = |values: &[f64], channel: usize, none: f64| match values {
            [] => none,
            [one] => *one,
            several => several.get(channel).copied().unwrap_or(none),
        };
        let channels = self.geometry.shape.map_or(0, |shape| shape[0]);
        (0..channels)
            .map(|channel| {
                let (mean, std) = (of(&self.mean, channel, 0.0), of(&self.std, channel, 1.0));
                (1.0 / (self.scale * std), -mean / std)
            })
            .collect()
    }
}

impl Learnt for Image {
    type Encoder = ImageEncoder;
    type Intake = Box<ImageIntake>;

    fn encoder(&self, column: &Column) -> ImageEncoder {
        ImageEncoder::new(column, self.lines())
    }

    fn intake(&self, memory: usize) -> Box<ImageIntake> {
        Box::new(ImageIntake::new(self.geometry.clone(), memory))
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        let geometry = &self.geometry;
        let shape = geometry.shape.as_ref();
        let seen = geometry.seen();
        let sizes = [
            // A photograph has more pixels than a network inputs, until it is resized or cropped.
            shape.map(|shape| (&shape[..], MAX_PIXELS)),
            Some((&seen[..], MAX_INPUTS)),
            geometry.resize.as_ref().map(|size| (&size[..], MAX_INPUTS)),
        ];
        let possible = |(sizes, most): (&[usize], usize)| {
            let size = sizes.iter().try_fold(1_usize, |a, b| a.checked_mul(*b));
            size.is_some_and(|size| (1..=most).contains(&size))
        };
        if shape.is_none() || !sizes.into_iter().flatten().all(possible) {
            return Err("has a shape that no image has");
        }
        let of_channels = |v: &Vec<f64>| matches!(v.len(), 0 | 1) || v.len() == seen[0];
        if !of_channels(&self.mean) || !of_channels(&self.std) {
            return Err("has another number of channels than of means");
        }
        let positive = |x: &f64| *x > 1e-31 && *x < 1e31;
        if !positive(&self.scale)
            || !self.std.iter().all(positive)
            || !self.mean.iter().all(|x| x.abs() < 1e31)
        {
            return Err("has a scale out of range");
        }
        if self.augment.is_some_and(|augment| {
            augment.crop > MAX_INPUTS || !(0.0..=MAX_INPUTS as f64).contains(&augment.shift)
        }) {
            return Err("has an augmentation out of range");
        }
        Ok(())
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Array
    }

    fn width(&self) -> usize {
        let sides = self.geometry.seen();
        sides
            .iter()
            .fold(1, |size: usize, side| size.saturating_mul(*side))
    }

    fn form(&self) -> InputForm {
        let [channels, height, width] = self.geometry.seen();
        InputForm::Image {
            channels,
            height,
            width,
        }
    }

    fn shape(&self) -> Option<ArrayShape> {
        Some(ArrayShape::image(self.geometry.seen()))
    }

    fn augmentation(&self, offset: usize) -> Option<Augmentation> {
        let augment = self.augment?;
        let [channels, height, width] = self.geometry.seen();
        let [rows, columns] = augment.reach(height, width);
        Some(Augmentation {
            offset,
            channels,
            height,
            width,
            horizontal: augment.horizontal,
            vertical: augment.vertical,
            rows,
            columns,
            // What a black pixel is encoded as.
            fill: self.lines().iter().map(|line| line.1 as f32).collect(),
        })
    }

    fn words(&self) -> String {
        let [c, h, w] = self.geometry.seen();
        let mut text = format!("image {c} × {h} × {w}");
        if self.scale != 1.0 {
            text.push_str(&format!(", divided by {}", self.scale));
        }
        if !self.mean.is_empty() || !self.std.is_empty() {
            text.push_str(", normalised");
        }
        if self.augment.is_some() {
            text.push_str(", augmented");
        }
        text
    }

    fn describe_shape(&self, map: &mut Map<String, Value>) {
        let geometry = &self.geometry;
        map.insert("shape".to_owned(), json!(geometry.shape));
        if geometry.channels_last {
            map.insert("data_format".to_owned(), json!("channels_last"));
        }
        for (name, size) in [("resize", geometry.resize), ("crop", geometry.crop)] {
            if let Some(size) = size {
                map.insert(name.to_owned(), json!(size));
            }
        }
    }

    fn describe(&self) -> Value {
        json!({
            "scale": self.scale, "mean": self.mean, "std": self.std, "augment": self.augment,
        })
    }
}
