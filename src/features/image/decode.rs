//! PNG and JPEG files to samples.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use png::{BitDepth, Decoder, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::memory::{self, Refused};

/// A decoded image, the channels of each pixel side by side.
pub(super) struct Decoded {
    /// 1 grey, 2 grey and opacity, 3 red, green, blue, 4 with opacity.
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub samples: Samples,
}

pub(super) enum Samples {
    /// 0 to 255.
    Bytes(Vec<u8>),
    /// 0 to 65535.
    Words(Vec<u16>),
}

/// The files that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
}

/// Why there is no image.
pub(super) enum Fault {
    Broken(String),
    /// The system has not so much memory.
    Refused(Refused),
    /// It would take more memory than allowed.
    TooLarge {
        width: usize,
        height: usize,
    },
}

/// What the bytes are by their signature. Where they might be raw pixels as well, a JPEG file's
/// three bytes are no proof: it must end as one, too.
pub(super) fn format(bytes: &[u8], may_be_raw: bool) -> Option<Format> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(Format::Png);
    }
    let jpeg =
        bytes.starts_with(&[0xff, 0xd8, 0xff]) && (!may_be_raw || bytes.ends_with(&[0xff, 0xd9]));
    jpeg.then_some(Format::Jpeg)
}

/// Decodes a file, if that takes at most `memory` bytes: known from its header, before any of them
/// is taken.
pub(super) fn decode(bytes: &[u8], format: Format, memory: usize) -> Result<Decoded, Fault> {
    // The decoders are not ours and the bytes anybody's: a panic of theirs is a broken file.
    catch_unwind(AssertUnwindSafe(|| match format {
        Format::Png => png(bytes, memory),
        Format::Jpeg => jpeg(bytes, memory),
    }))
    .unwrap_or_else(|_| Err(Fault::Broken("it is malformed".to_owned())))
}

/// The samples, as the decoder and as the network has them.
fn ask(needed: usize) -> Result<(), Fault> {
    memory::ask_for_many(needed.saturating_mul(6)).map_err(Fault::Refused)
}

fn broken(error: impl std::fmt::Display) -> Fault {
    let text: String = error.to_string().chars().take(200).collect();
    Fault::Broken(text.trim_end().to_owned())
}

fn png(bytes: &[u8], memory: usize) -> Result<Decoded, Fault> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: memory });
    // Nothing is done with a colour profile or a text, so they may as well be broken.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palettes become colours, and samples of fewer than eight bits the same share of 255.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = reader.info().size();
    let (width, height) = (width as usize, height as usize);
    let needed = reader.output_buffer_size().filter(|&size| size <= memory);
    let Some(needed) = needed else {
        return Err(Fault::TooLarge { width, height });
    };
    ask(needed)?;
    let (colour, depth) = reader.output_color_type();
    let mut data = vec![0; needed];
    reader.next_frame(&mut data).map_err(broken)?;
    let samples = if depth == BitDepth::Sixteen {
        let words = data.as_chunks::<2>().0;
        Samples::Words(words.iter().map(|word| u16::from_be_bytes(*word)).collect())
    } else {
        Samples::Bytes(data)
    };
    Ok(Decoded {
        channels: colour.samples(),
        height,
        width,
        samples,
    })
}

fn jpeg(bytes: &[u8], memory: usize) -> Result<Decoded, Fault> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| broken("it has no dimensions"))?;
    let (space, channels) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    // Beside the samples a progressive file needs its coefficients, two bytes each.
    let needed = width.saturating_mul(height).saturating_mul(3 * channels);
    if needed > memory {
        return Err(Fault::TooLarge { width, height });
    }
    ask(needed)?;
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let data = decoder.decode().map_err(broken)?;
    if data.len() != width * height * channels {
        return Err(broken("its end is missing"));
    }
    Ok(Decoded {
        channels,
        height,
        width,
        samples: Samples::Bytes(data),
    })
}
