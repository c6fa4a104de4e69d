//! Images: taking in, fitting, encoding.

use super::arrays::{bytes, close, flat, nested, numbers};
use pg_neural::features::Error;
use pg_neural::nn::{InputForm, Rank};
use serde_json::{Value, json};

#[test]
fn nested_arrays_are_images_of_their_own_shape() {
    let image: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let table = numbers([nested(&[2, 3, 4], &image), nested(&[2, 3, 4], &[24.0; 24])]);
    let (set, encoded) = table.fit(json!("image")).unwrap();
    let form = InputForm::Image {
        channels: 2,
        height: 3,
        width: 4,
    };
    assert_eq!(set.inputs()[0].form, form);
    // The largest absolute value becomes 1 unless told otherwise.
    assert_eq!(encoded[0][23], 23.0 / 24.0);
    assert_eq!(encoded[1], [1.0; 24]);
    assert_eq!(
        set.features[0].describe(),
        "x: image 2 × 3 × 4, divided by 24"
    );
    assert_eq!(set.public_json()[0]["shape"], json!([2, 3, 4]));

    // An architecture may ask for an image; two dimensions are one channel.
    let grey = numbers([nested(&[2, 2], &[0.0, 0.5, 0.25, 1.0])]).rank(Rank::Image);
    let (set, encoded) = grey.fit(Value::Null).unwrap();
    assert_eq!(set.public_json()[0]["shape"], json!([1, 2, 2]));
    assert_eq!(
        encoded[0],
        [0.0, 0.5, 0.25, 1.0],
        "within −1 and 1 nothing is divided"
    );
}

#[test]
fn images_are_scaled_and_normalised_channel_by_channel() {
    let table = numbers([nested(&[2, 1, 2], &[0.0, 255.0, 51.0, 102.0])]);
    let settings = json!({"type": "image", "scale": 255, "mean": [0.5, 0.25], "std": [0.5, 2.0]});
    let (_, encoded) = table.fit(settings).unwrap();
    close(&encoded[0], &[-1.0, 1.0, -0.025, 0.075]);
    let settings = json!({"type": "image", "scale": "none", "mean": "fit", "std": "fit"});
    let (_, encoded) = table.fit(settings).unwrap();
    close(&encoded[0], &[-1.0, 1.0, -1.0, 1.0]);
    let (message, _) = table.error(json!({"type": "image", "mean": [1, 2, 3]}));
    assert!(
        message.contains("has 3 numbers") && message.contains("2 channels"),
        "{message}"
    );
}

#[test]
fn a_flat_image_needs_its_shape() {
    let table = numbers([flat(&[0.0; 16])]);
    let (message, hint) = table.error(json!("image"));
    assert!(message.contains("flat array of 16 numbers"), "{message}");
    assert!(hint.contains("\"shape\":[1,4,4]"), "{hint}");
    let (set, _) = table
        .fit(json!({"type": "image", "shape": [4, 2, 2]}))
        .unwrap();
    assert_eq!(set.width(), 16);
    let (message, _) = table.error(json!({"type": "image", "shape": [1, 4, 5]}));
    assert!(
        message.contains("has 16 numbers") && message.contains("needs 20"),
        "{message}"
    );
}

#[test]
fn shapes_are_channels_first() {
    let table = numbers([flat(&[0.0; 784])]);
    let (message, hint) = table.error(json!({"type": "image", "shape": [28, 28, 1]}));
    assert!(message.contains("[28, 28, 1]"), "{message}");
    assert!(
        hint.contains("[1, 28, 28]") && hint.contains("channels_last"),
        "{hint}"
    );
    let (_, hint) = numbers([nested(&[28, 28, 1], &[0.0; 784])]).error(json!("image"));
    assert!(hint.contains("channels_last"), "{hint}");

    // The same image in both orders.
    let first = numbers([nested(
        &[2, 2, 3],
        &(0..12).map(|i| i as f32).collect::<Vec<_>>(),
    )]);
    let turned = [0.0, 6.0, 1.0, 7.0, 2.0, 8.0, 3.0, 9.0, 4.0, 10.0, 5.0, 11.0];
    let settings = |format| json!({"type": "image", "data_format": format});
    let (_, expected) = first.fit(settings("channels_first")).unwrap();
    let last = numbers([nested(&[2, 3, 2], &turned)]);
    let (_, encoded) = last.fit(settings("channels_last")).unwrap();
    assert_eq!(encoded, expected);
    let flat_settings =
        json!({"type": "image", "shape": [2, 2, 3], "data_format": "channels_last"});
    let (_, encoded) = numbers([flat(&turned)]).fit(flat_settings).unwrap();
    assert_eq!(encoded, expected);
    let raw: Vec<u8> = turned.iter().map(|&x| x as u8).collect();
    let raw_settings = json!({"type": "image", "shape": [2, 2, 3], "data_format": "channels_last",
                              "scale": 11});
    let (_, encoded) = bytes([raw.as_slice()]).fit(raw_settings).unwrap();
    assert_eq!(encoded, expected);
}

#[test]
fn images_have_one_shape_unless_they_are_resized() {
    let table = numbers([nested(&[2, 2], &[0.0; 4]), nested(&[2, 3], &[0.0; 6])]);
    let (message, hint) = table.error(json!("image"));
    assert!(
        message.contains("1 × 2 × 3") && message.contains("1 × 2 × 2"),
        "{message}"
    );
    assert!(hint.contains("\"resize\""), "{hint}");
    let (set, encoded) = table
        .fit(json!({"type": "image", "resize": [3, 5]}))
        .unwrap();
    assert_eq!((set.width(), encoded.len()), (15, 2));
    let (message, _) = numbers([nested(&[1, 1, 1, 1], &[0.0])]).error(json!("image"));
    assert!(message.contains("4 dimensions"), "{message}");
}

/// The files' pixels: `make_image_fixtures.py`.
const SIZE: [usize; 2] = [10, 14];

fn planes(channels: usize) -> Vec<f32> {
    let [height, width] = SIZE;
    let pixel = |c, y, x| ((40 * c + 9 * y + 13 * x + (y * x) % 7) % 256) as f32;
    (0..channels)
        .flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| pixel(c, y, x))))
        .collect()
}

fn file(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/images/");
    std::fs::read(format!("{path}{name}")).unwrap()
}

fn expected() -> Value {
    serde_json::from_str(include_str!("../fixtures/images.json")).unwrap()
}

fn as_numbers(value: &Value) -> Vec<f32> {
    let list = value.as_array().unwrap();
    list.iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

/// One file as the network sees it, its values as they are.
fn decoded(name: &str, mut settings: Value) -> Result<Vec<f32>, Error> {
    settings["type"] = json!("image");
    settings["scale"] = json!(1);
    let content = file(name);
    let (_, mut encoded) = bytes([content.as_slice()]).fit(settings)?;
    Ok(encoded.remove(0))
}

#[test]
fn images_are_resized_as_pytorch_does_it() {
    let [height, width] = SIZE;
    let table = numbers([nested(&[2, height, width], &planes(2))]);
    for case in expected()["resized"].as_array().unwrap() {
        let settings = json!({"type": "image", "scale": 1, "resize": case["size"]});
        let (_, encoded) = table.fit(settings).unwrap();
        close(&encoded[0], &as_numbers(&case["planes"]));
    }
}

#[test]
fn the_middle_is_cropped() {
    let image: Vec<f32> = (0..20).map(|i| i as f32).collect();
    let table = numbers([nested(&[4, 5], &image)]);
    let (set, encoded) = table
        .fit(json!({"type": "image", "scale": 1, "crop": [2, 3]}))
        .unwrap();
    assert_eq!(encoded[0], [6.0, 7.0, 8.0, 11.0, 12.0, 13.0]);
    assert_eq!(
        set.public_json()[0]["shape"],
        json!([1, 4, 5]),
        "as a caller gives it"
    );
    let (message, _) = table.error(json!({"type": "image", "crop": [5, 5]}));
    assert!(
        message.contains("4 × 5") && message.contains("5 × 5"),
        "{message}"
    );
}

#[test]
fn png_files_are_decoded_exactly() {
    assert_eq!(decoded("grey.png", json!({})).unwrap(), planes(1));
    assert_eq!(decoded("rgb.png", json!({})).unwrap(), planes(3));
    assert_eq!(
        decoded("palette.png", json!({})).unwrap().len(),
        planes(3).len()
    );
    // Opacity is dropped unless there is a channel for it.
    assert_eq!(decoded("grey_alpha.png", json!({})).unwrap(), planes(1));
    assert_eq!(decoded("rgba.png", json!({})).unwrap(), planes(3));
    assert_eq!(
        decoded("rgba.png", json!({"shape": [4, 10, 14]})).unwrap(),
        planes(4)
    );
    // Sixteen bits are finer, not larger.
    let fine = decoded("grey16.png", json!({})).unwrap();
    for (fine, coarse) in fine.iter().zip(planes(1)) {
        let more = if coarse < 255.0 { 3.0 / 257.0 } else { 0.0 };
        assert!((fine - coarse - more).abs() < 1e-4);
    }
}

#[test]
fn colours_follow_the_shape() {
    let grey = decoded("grey.png", json!({"shape": [3, 10, 14]})).unwrap();
    assert_eq!(grey, [planes(1), planes(1), planes(1)].concat());
    let colour = decoded("rgb.png", json!({"shape": [1, 10, 14]})).unwrap();
    let all = planes(3);
    for (i, value) in colour.iter().enumerate() {
        let luma = 0.299 * all[i] + 0.587 * all[140 + i] + 0.114 * all[280 + i];
        assert!((value - luma).abs() < 1e-3);
    }
    let error = decoded("rgb.png", json!({"shape": [2, 10, 14]})).unwrap_err();
    assert!(error.to_string().contains("2 channels"), "{error}");
}

#[test]
fn jpeg_files_are_decoded_as_by_libjpeg() {
    for (name, pixels) in expected()["decoded"].as_object().unwrap() {
        let pixels: Vec<f32> = pixels
            .as_array()
            .unwrap()
            .iter()
            .flat_map(as_numbers)
            .collect();
        let own = decoded(name, json!({})).unwrap();
        assert_eq!(own.len(), pixels.len(), "{name}");
        // Inverse transforms may differ by rounding.
        let worst = own
            .iter()
            .zip(&pixels)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst <= 3.0, "{name}: {worst}");
    }
}

#[test]
fn encoded_images_of_other_sizes_are_brought_to_the_shape() {
    let (small, large) = (file("grey.png"), file("rgb.jpg"));
    let table = bytes([small.as_slice(), large.as_slice()]);
    let (set, encoded) = table
        .fit(json!({"type": "image", "shape": [1, 5, 5]}))
        .unwrap();
    assert_eq!((set.width(), encoded.len()), (25, 2));
    // Resized to 5 × 7, of which the middle is taken.
    let whole = numbers([nested(&[10, 14], &planes(1))]);
    let settings = json!({"type": "image", "scale": 255, "resize": [5, 7], "crop": [5, 5]});
    let (_, expected) = whole.fit(settings).unwrap();
    close(&encoded[0], &expected[0]);
    // Bytes are divided by 255 unless told otherwise, and the first image has the say.
    let (set, encoded) = table.fit(Value::Null).unwrap();
    assert_eq!(
        set.features[0].describe(),
        "x: image 1 × 10 × 14, divided by 255"
    );
    close(
        &encoded[0],
        &planes(1).iter().map(|x| x / 255.0).collect::<Vec<_>>(),
    );
    // Larger than the image, too.
    let (set, _) = table
        .fit(json!({"type": "image", "shape": [3, 32, 32]}))
        .unwrap();
    assert_eq!(set.width(), 3 * 32 * 32);
}

#[test]
fn broken_files_are_errors_that_name_the_column() {
    for name in [
        "rgb.png",
        "grey16.png",
        "palette.png",
        "rgb.jpg",
        "progressive.jpg",
    ] {
        let whole = file(name);
        for length in [3, 9, 20, 40, whole.len() / 2] {
            let cut = &whole[..length];
            // What is left of a JPEG file may still be an image, if a poor one.
            if let Err(error) = bytes([cut]).fit(Value::Null) {
                assert!(
                    error.to_string().contains("column \"x\""),
                    "{name}: {error}"
                );
            } else {
                assert!(name.ends_with("jpg"), "{name} of {length} bytes");
            }
        }
        // Any byte may be another one.
        for place in 0..whole.len() {
            let mut other = whole.clone();
            other[place] ^= 0x5a;
            if let Err(error) = bytes([other.as_slice()]).fit(Value::Null) {
                assert!(
                    error.to_string().contains("column \"x\""),
                    "{name}: {error}"
                );
            }
        }
    }
    let (message, hint) = bytes([b"not an image".as_slice()]).error(Value::Null);
    assert!(
        message.contains("12 bytes") && message.contains("PNG"),
        "{message}"
    );
    assert!(hint.contains("\"shape\""), "{hint}");
    let (message, _) =
        bytes([[0_u8; 11].as_slice()]).error(json!({"type": "image", "shape": [3, 2, 2]}));
    assert!(
        message.contains("11 bytes") && message.contains("12 pixels"),
        "{message}"
    );
}

#[test]
fn an_image_too_large_to_decode_is_refused_before_memory_is_taken() {
    let bomb = file("bomb.png");
    let error = bytes([bomb.as_slice()]).fit(Value::Null).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error:?}");
    assert!(error.to_string().contains("60000 × 60000"), "{error}");
}

#[test]
fn raw_pixels_that_begin_like_a_file_are_told_from_it() {
    // As many bytes as pixels, with the beginning of a JPEG file and not its end.
    let mut raw = vec![7_u8; 12];
    raw[..3].copy_from_slice(&[0xff, 0xd8, 0xff]);
    let settings = json!({"type": "image", "shape": [3, 2, 2], "scale": 1});
    let (_, encoded) = bytes([raw.as_slice()]).fit(settings).unwrap();
    assert_eq!(encoded[0][..4], [255.0, 216.0, 255.0, 7.0]);
    // A PNG file with as many bytes as the shape has pixels is still a file.
    let png = file("grey.png");
    let settings = json!({"type": "image", "shape": [1, 1, png.len()]});
    assert_eq!(
        bytes([png.as_slice()]).fit(settings).unwrap().0.width(),
        png.len()
    );
}

#[test]
fn augmentation_is_told_where_the_image_lies() {
    let table = numbers([nested(&[2, 4, 6], &[51.0; 48])]);
    let settings = json!({
        "type": "image", "scale": 51, "mean": [0.5, 0.25], "std": 0.5,
        "augment": {"flip": "both", "crop": 1, "shift": 0.5},
    });
    let (set, encoded) = table.fit(settings).unwrap();
    let [image] = set.augmentations().try_into().unwrap();
    assert_eq!(
        (image.offset, image.channels, image.height, image.width),
        (0, 2, 4, 6)
    );
    assert_eq!(
        (image.rows, image.columns),
        (3, 4),
        "a border of one and half a side"
    );
    assert!(image.horizontal && image.vertical);
    assert_eq!(image.fill, [-1.0, -0.5], "black");
    assert_eq!((encoded[0][0], encoded[0][47]), (1.0, 1.5));
}
