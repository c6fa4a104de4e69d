//! The settings of layers whose windows slide over steps or over an image.

use serde_json::{Map, Value, json};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::{Padding, Window};
use crate::nn::base::shape::Shape;
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::Site;

/// What differs between layers with windows.
pub(super) struct Names {
    /// What they call their size.
    pub size: &'static str,
    /// The size where none is given, if there is such a one.
    pub default_size: Option<usize>,
    /// Whether windows stand one beside the other where no strides are given, rather than at every
    /// place.
    pub side_by_side: bool,
}

/// Windows of a convolution: `kernel_size` must be given.
pub(super) const KERNEL: Names = Names {
    size: "kernel_size",
    default_size: None,
    side_by_side: false,
};
/// Windows of pooling: 2 wide, as in Keras, if nothing is said.
pub(super) const POOL: Names = Names {
    size: "pool_size",
    default_size: Some(2),
    side_by_side: true,
};

impl Names {
    /// Reads a window for each of N axes: the vertical one before the horizontal one.
    pub fn read<const N: usize>(&self, settings: &Settings<'_>) -> Result<[Window; N], Error> {
        let sizes = match (settings.sizes(self.size, N, 1)?, self.default_size) {
            (Some(sizes), _) => sizes,
            (None, Some(size)) => vec![size; N],
            (None, None) => return Err(settings.missing(self.size)),
        };
        let strides = settings.sizes("strides", N, 1)?;
        let dilation = settings.sizes("dilation", N, 1)?;
        let mut windows = [Window {
            size: 1,
            stride: 1,
            dilation: 1,
            padding: Padding::Fixed(0, 0),
        }; N];
        for (axis, window) in windows.iter_mut().enumerate() {
            window.size = sizes[axis];
            window.stride = match &strides {
                Some(strides) => strides[axis],
                None if self.side_by_side => window.size,
                None => 1,
            };
            window.dilation = dilation.as_ref().map_or(1, |dilation| dilation[axis]);
        }
        self.read_padding(settings, &mut windows)?;
        Ok(windows)
    }

    fn read_padding<const N: usize>(
        &self,
        settings: &Settings<'_>,
        windows: &mut [Window; N],
    ) -> Result<(), Error> {
        if let Some(Value::String(_)) = settings.get("padding") {
            let words: &[&str] = match self.side_by_side || N > 1 {
                true => &["valid", "same"],
                false => &["valid", "same", "causal"],
            };
            let word = settings.choice("padding", words)?;
            for window in windows {
                match word {
                    Some(1) => window.padding = Padding::Same,
                    Some(2) => window.padding = Padding::Fixed(window.reach() - 1, 0),
                    _ => {}
                }
            }
        } else if let Some(sizes) = settings.sizes("padding", 2, 0)? {
            for (axis, window) in windows.iter_mut().enumerate() {
                window.padding = match N {
                    1 => Padding::Fixed(sizes[0], sizes[1]),
                    _ => Padding::Fixed(sizes[axis], sizes[axis]),
                };
            }
        }
        Ok(())
    }

    /// Writes the windows as they are read, without what has its default.
    pub fn write<const N: usize>(&self, windows: &[Window; N], settings: &mut Map<String, Value>) {
        let of = |part: fn(&Window) -> usize| windows.each_ref().map(part);
        let mut put = |name: &str, values: &[usize]| {
            let alike = values.iter().all(|value| *value == values[0]);
            let value = if alike {
                json!(values[0])
            } else {
                json!(values)
            };
            settings.insert(name.to_owned(), value);
        };
        let (sizes, strides, dilation) = (of(|w| w.size), of(|w| w.stride), of(|w| w.dilation));
        put(self.size, &sizes);
        if strides != if self.side_by_side { sizes } else { [1; N] } {
            put("strides", &strides);
        }
        if dilation != [1; N] {
            put("dilation", &dilation);
        }
        match windows.each_ref().map(|window| window.padding).as_slice() {
            [Padding::Same, ..] => {
                settings.insert("padding".to_owned(), json!("same"));
            }
            [Padding::Fixed(0, 0)] | [Padding::Fixed(0, 0), Padding::Fixed(0, 0)] => {}
            [Padding::Fixed(before, after)] => put("padding", &[*before, *after]),
            [Padding::Fixed(vertical, _), Padding::Fixed(horizontal, _)] => {
                put("padding", &[*vertical, *horizontal]);
            }
            _ => {}
        }
    }

    /// Refuses windows that fit nowhere into what the layer reads, whose axes have the lengths
    /// `inputs`.
    pub fn check<const N: usize>(
        &self,
        site: &Site<'_>,
        shape: Shape,
        windows: &[Window; N],
        inputs: [usize; N],
    ) -> Result<(), Error> {
        if (0..N).all(|axis| windows[axis].outputs(inputs[axis]) > 0) {
            return Ok(());
        }
        let reach = windows.each_ref().map(|window| window.reach().to_string());
        let window = match N {
            1 => format!("{} steps", reach[0]),
            _ => reach.join(" × "),
        };
        let padded = match windows[0].padding {
            Padding::Fixed(0, 0) => "",
            _ => " with its padding",
        };
        let hint = match shape {
            Shape::Image {
                channels,
                height,
                width,
            } if width <= 4 && channels > width && height > width => {
                "Images are channels × height × width, as in PyTorch; this one looks like height × \
                 width × channels."
                    .to_owned()
            }
            _ => format!(
                "Make \"{}\" smaller, or give \"padding\": \"same\".",
                self.size
            ),
        };
        Err(site.error(
            format!("its window of {window} is larger than {shape}{padded}"),
            hint,
        ))
    }
}
