//! Columns that hold many numbers: taking in, fitting, encoding.

use pg_neural::features::{
    Arrays, BitMask, Block, Column, Error, FeatureSet, FitRows, Fitted, Intake, MemoryRows, Origin,
    Profile, Tokens, Values, fit, parse_requests,
};
use pg_neural::nn::{InputForm, Rank};
use serde_json::{Value, json};

/// Memory that a decoded image may take.
const MEMORY: usize = 1 << 20;

/// What a row of the column holds.
#[derive(Clone)]
enum Cell {
    Null,
    Numbers(Vec<usize>, Vec<f32>),
    Bytes(Vec<u8>),
}

fn flat(numbers: &[f32]) -> Cell {
    Cell::Numbers(vec![numbers.len()], numbers.to_vec())
}

fn nested(dims: &[usize], numbers: &[f32]) -> Cell {
    Cell::Numbers(dims.to_vec(), numbers.to_vec())
}

fn take(intake: &mut Intake, cell: &Cell, into: &mut Arrays) -> Result<(), Error> {
    match cell {
        Cell::Null => intake.missing(into),
        Cell::Numbers(dims, numbers) => {
            into.open().extend_from_slice(numbers);
            intake.array(dims, into)
        }
        Cell::Bytes(bytes) => intake.bytes(bytes, into),
    }
}

/// A table of one column.
struct OneColumn {
    origin: Origin,
    rank: Rank,
    embedded: bool,
    cells: Vec<Cell>,
}

fn numbers(cells: impl IntoIterator<Item = Cell>) -> OneColumn {
    OneColumn {
        origin: Origin::NumberArray,
        rank: Rank::Any,
        embedded: false,
        cells: cells.into_iter().collect(),
    }
}

fn bytes<'a>(cells: impl IntoIterator<Item = &'a [u8]>) -> OneColumn {
    OneColumn {
        origin: Origin::Bytes,
        rank: Rank::Any,
        embedded: false,
        cells: cells.into_iter().map(|b| Cell::Bytes(b.to_vec())).collect(),
    }
}

impl OneColumn {
    fn rank(mut self, rank: Rank) -> OneColumn {
        self.rank = rank;
        self
    }

    fn embedded(mut self) -> OneColumn {
        self.embedded = true;
        self
    }

    /// Fits the treatment on all rows, and encodes them.
    fn fit(&self, treatment: Value) -> Result<(FeatureSet, Vec<Vec<f32>>), Error> {
        let sql_type = match self.origin {
            Origin::Bytes => "bytea",
            _ => "real[]",
        };
        let mut column = Column::new("x", sql_type, self.origin);
        let features = match treatment {
            Value::Null => json!({}),
            treatment => json!({"x": treatment}),
        };
        let mut requests = parse_requests(Some(&features), std::slice::from_ref(&column))?;
        requests[0].set_rank(self.origin, self.rank);
        let mut intake = Intake::new(&requests[0], &column, MEMORY);
        let mut arrays = Arrays::new();
        for cell in &self.cells {
            take(&mut intake, cell, &mut arrays)?;
        }
        column.shape = intake.shape();
        let block = Block {
            rows: arrays.len(),
            columns: vec![Values::Array(arrays)],
        };
        let embedded: Vec<String> = self.embedded.then(|| "x".to_owned()).into_iter().collect();
        let set = fit(
            &requests,
            &[column],
            &embedded,
            &mut FitRows {
                rows: &mut MemoryRows::new(block.clone()),
                is_training: &BitMask::new(block.rows, true),
                dictionaries: &[None],
                crew: None,
                interrupted: &mut || false,
            },
        )?
        .set;
        let width = set.width();
        let mut out = vec![f32::NAN; width * block.rows];
        set.block_encoder(&[None]).encode(&block, &mut out)?;
        let rows: Vec<Vec<f32>> = out.chunks(width).map(<[f32]>::to_vec).collect();
        // A call takes each row in and encodes it by itself, from what was stored.
        let stored: FeatureSet =
            serde_json::from_str(&serde_json::to_string(&set).unwrap()).unwrap();
        stored.validate().unwrap();
        assert_eq!(stored, set);
        for (cell, row) in self.cells.iter().zip(&rows) {
            let called = call(&stored, cell)?;
            let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&called), bits(row));
        }
        Ok((set, rows))
    }

    fn error(&self, treatment: Value) -> (String, String) {
        let error = self.fit(treatment).expect_err("an error");
        (error.to_string(), error.hint().unwrap_or_default())
    }
}

fn call(set: &FeatureSet, cell: &Cell) -> Result<Vec<f32>, Error> {
    let mut intake = Intake::fitted(&set.features[0], MEMORY);
    let mut taken = Arrays::new();
    take(&mut intake, cell, &mut taken)?;
    let mut row = vec![f32::NAN; set.width()];
    set.encoder().array(0, taken.get(0).unwrap(), &mut row)?;
    Ok(row)
}

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{i}: {a} and {b}");
    }
}

#[test]
fn each_number_of_a_vector_has_its_own_scale_and_mean() {
    let rows = [[1.0, 10.0], [3.0, 30.0], [5.0, 80.0]];
    let table = numbers(rows.iter().map(|row| flat(row)));
    let (set, encoded) = table
        .fit(json!({"type": "vector", "scale": "standard"}))
        .unwrap();
    assert_eq!(set.inputs()[0].form, InputForm::Numbers(2));
    let d = (8.0_f32 / 3.0).sqrt();
    let e = (2600.0_f32 / 3.0).sqrt();
    close(&encoded[0], &[-2.0 / d, -30.0 / e]);
    close(&encoded[2], &[2.0 / d, 40.0 / e]);
    // A missing number, or all of them, count as the mean; an infinite one as the extreme.
    close(&call(&set, &flat(&[f32::NAN, 40.0])).unwrap(), &[0.0, 0.0]);
    close(&call(&set, &Cell::Null).unwrap(), &[0.0, 0.0]);
    let infinite = [f32::INFINITY, f32::NEG_INFINITY];
    close(
        &call(&set, &flat(&infinite)).unwrap(),
        &[2.0 / d, -30.0 / e],
    );
    assert_eq!(set.features[0].describe(), "x: vector of 2, standard");
    let public = set.public_json();
    assert_eq!(public[0]["length"], 2);
    let Profile::Deciles { deciles, rows, .. } = &set.features[0].profile else {
        panic!("{:?}", set.features[0].profile)
    };
    assert_eq!(
        (deciles[0], deciles[10], *rows),
        (5.5, 42.5, 3),
        "the rows' means"
    );
}

#[test]
fn scales_of_vectors_are_those_of_numbers() {
    let values: Vec<f32> = (0..41).map(|i| (i * i % 37) as f32 - 5.0).collect();
    let vectors = numbers(values.iter().map(|&value| flat(&[value, 2.0 * value])));
    let plain = super::features::Table::default().number(
        "x",
        Origin::Float,
        &values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(),
    );
    for scale in ["standard", "minmax", "robust", "none"] {
        let (_, encoded) = vectors
            .fit(json!({"type": "vector", "scale": scale}))
            .unwrap();
        let (set, _) = plain.fit(json!({"x": {"scale": scale}})).unwrap();
        for (vector, number) in encoded.iter().zip(plain.encode(&set)) {
            let twice = if scale == "none" { 2.0 } else { 1.0 };
            close(vector, &[number[0], twice * number[0]]);
        }
    }
    let (set, _) = vectors.fit(Value::Null).unwrap();
    let Fitted::Vector(vector) = &set.features[0].treatment else {
        panic!("an array is a vector unless told otherwise")
    };
    assert_eq!((vector.scale.name(), vector.clip), ("robust", Some(3.0)));
}

#[test]
fn vectors_have_one_length() {
    let table = numbers([Cell::Null, flat(&[1.0, 2.0]), flat(&[1.0, 2.0, 3.0])]);
    let (message, hint) = table.error(json!("vector"));
    assert_eq!(
        message,
        "a vector in column \"x\" has 3 numbers, but the column's vectors have 2"
    );
    assert!(hint.contains("\"sequence\""));
    let (message, _) = numbers([flat(&[1.0])]).error(json!({"type": "vector", "length": 3}));
    assert!(
        message.contains("has 1 numbers") && message.contains("have 3"),
        "{message}"
    );
    let (message, _) = numbers([flat(&[])]).error(json!("vector"));
    assert_eq!(message, "column \"x\" has an empty array");
    let (message, _) = numbers([Cell::Null, Cell::Null]).error(json!("vector"));
    assert_eq!(message, "column \"x\" has no value in any row");
    // Of more dimensions, all numbers count.
    let table = numbers([
        nested(&[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        flat(&[4.0, 3.0, 2.0, 1.0]),
    ]);
    assert_eq!(table.fit(json!("vector")).unwrap().0.width(), 4);
}

#[test]
fn a_vector_that_never_changes_is_left_out_unless_named() {
    let table = numbers([flat(&[1.0, 2.0]), flat(&[1.0, 2.0])]);
    let (message, _) = table.error(Value::Null);
    assert_eq!(message, "no feature is left to learn from");
    assert_eq!(table.fit(json!("vector")).unwrap().0.width(), 2);
}

#[test]
fn what_is_encoded_of_a_vector_is_finite() {
    let wild = [
        f32::MAX,
        -f32::MAX,
        f32::MIN_POSITIVE,
        0.0,
        f32::INFINITY,
        f32::NAN,
    ];
    let table = numbers(wild.iter().map(|&x| flat(&[x, -x])));
    for scale in ["standard", "minmax", "robust", "none"] {
        let treatment = json!({"type": "vector", "scale": scale, "clip": null});
        let (_, encoded) = table.fit(treatment).unwrap();
        assert!(
            encoded.concat().iter().all(|x| x.is_finite()),
            "{scale}: {encoded:?}"
        );
    }
}

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

#[test]
fn what_is_in_no_image_or_sequence_is_an_error() {
    for (what, cells) in [
        ("NULL or NaN", vec![flat(&[1.0, f32::NAN])]),
        ("an infinite number", vec![flat(&[f32::INFINITY, 0.0])]),
        ("is NULL", vec![flat(&[1.0, 2.0]), Cell::Null]),
    ] {
        for treatment in [
            json!({"type": "image", "shape": [1, 1, 2]}),
            json!("sequence"),
        ] {
            let (message, hint) = numbers(cells.clone()).error(treatment);
            assert!(
                message.contains(what) && message.contains("column \"x\""),
                "{message}"
            );
            assert!(hint.contains("WHERE"), "{hint}");
        }
    }
    let (message, _) = numbers([flat(&[])]).error(json!("sequence"));
    assert_eq!(message, "a sequence in column \"x\" has no steps");
    let (message, _) = numbers([flat(&[])]).error(json!("image"));
    assert_eq!(message, "an image in column \"x\" is empty");
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
    serde_json::from_str(include_str!("fixtures/images.json")).unwrap()
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
fn short_sequences_stand_at_the_start_and_long_ones_lose_their_oldest_steps() {
    let table = numbers([flat(&[1.0, 2.0, 3.0, 4.0]), flat(&[5.0])]);
    let settings = json!({"type": "sequence", "length": 3, "scale": "none"});
    let (set, encoded) = table.fit(settings).unwrap();
    let form = InputForm::Sequence {
        steps: 3,
        features: 1,
        vocabulary: None,
    };
    assert_eq!(set.inputs()[0].form, form);
    assert_eq!(
        encoded[0],
        [3.0, 2.0, 3.0, 4.0],
        "the number of steps comes first"
    );
    assert_eq!(encoded[1], [1.0, 5.0, 0.0, 0.0]);
    // Without a length the longest row has the say.
    let (set, encoded) = table
        .fit(json!({"type": "sequence", "scale": "none"}))
        .unwrap();
    assert_eq!(encoded[0], [4.0, 1.0, 2.0, 3.0, 4.0]);
    let longer = flat(&[9.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(call(&set, &longer).unwrap(), encoded[0]);
    assert_eq!(
        set.features[0].describe(),
        "x: sequence of up to 4 numbers, not scaled"
    );
    assert_eq!(set.public_json()[0]["length"], 4);
}

#[test]
fn a_step_has_features_each_with_one_scale_over_all_steps() {
    let table = numbers([
        nested(&[2, 2], &[1.0, 100.0, 3.0, 300.0]),
        nested(&[1, 2], &[5.0, 800.0]),
    ])
    .rank(Rank::Sequence);
    let (set, encoded) = table.fit(Value::Null).unwrap();
    let (d, e) = ((8.0_f32 / 3.0).sqrt(), (260_000.0_f32 / 3.0).sqrt());
    close(&encoded[0], &[2.0, -2.0 / d, -300.0 / e, 0.0, -100.0 / e]);
    close(&encoded[1], &[1.0, 2.0 / d, 400.0 / e, 0.0, 0.0]);
    assert_eq!(
        set.features[0].describe(),
        "x: sequence of up to 2 × 2 numbers, standard"
    );
    for scale in ["minmax", "robust"] {
        let (_, encoded) = table
            .fit(json!({"type": "sequence", "scale": scale}))
            .unwrap();
        assert_eq!(encoded[1][3..], [0.0, 0.0], "{scale}");
    }
    let error = call(&set, &nested(&[1, 3], &[1.0, 2.0, 3.0])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a sequence in column \"x\" has 3 numbers a step, but the column's sequences have 2"
    );
    let error = call(&set, &nested(&[1, 1, 2], &[1.0, 2.0])).unwrap_err();
    assert!(error.to_string().contains("3 dimensions"), "{error}");
}

#[test]
fn tokens_are_whole_numbers_below_the_vocabulary() {
    let table = numbers([flat(&[0.0, 3.0, 2.0]), flat(&[1.0])])
        .rank(Rank::Sequence)
        .embedded();
    let (set, encoded) = table.fit(Value::Null).unwrap();
    let form = InputForm::Sequence {
        steps: 3,
        features: 1,
        vocabulary: Some(5),
    };
    assert_eq!(set.inputs()[0].form, form);
    assert_eq!(
        encoded,
        [vec![3.0, 0.0, 3.0, 2.0], vec![1.0, 1.0, 0.0, 0.0]]
    );
    assert_eq!(
        call(&set, &flat(&[17.0])).unwrap(),
        [1.0, 4.0, 0.0, 0.0],
        "another token"
    );
    for (token, what) in [(-1.0, "-1"), (1.5, "1.5")] {
        let error = call(&set, &flat(&[token])).unwrap_err();
        assert!(
            error.to_string().contains(&format!("has {what} where")),
            "{error}"
        );
    }
    // An embedding that says how many it knows takes no others.
    let (set, _) = table
        .fit(json!({"type": "sequence", "vocabulary": 4}))
        .unwrap();
    assert_eq!(set.inputs()[0].vocabulary(), Some(4));
    let error = call(&set, &flat(&[4.0])).unwrap_err();
    assert!(error.to_string().contains("vocabulary is 4"), "{error}");
    let (message, _) = table.error(json!({"type": "sequence", "vocabulary": 3}));
    assert!(message.contains("the token 3"), "{message}");
    let pairs = numbers([nested(&[1, 2], &[1.0, 2.0])])
        .rank(Rank::Sequence)
        .embedded();
    let (message, _) = pairs.error(Value::Null);
    assert!(message.contains("cannot be embedded"), "{message}");
}

#[test]
fn settings_are_checked() {
    let table = numbers([flat(&[1.0])]);
    for (treatment, message) in [
        (
            json!({"type": "image", "shpe": [1, 2, 2]}),
            "unknown setting of column \"x\": \"shpe\"",
        ),
        (
            json!({"type": "image", "shape": [1, 0, 2]}),
            "setting \"shape\" of column \"x\" is [1,0,2]",
        ),
        (
            json!({"type": "image", "shape": [4096, 4096, 4096]}),
            "setting \"shape\"",
        ),
        (json!({"type": "image", "scale": 0}), "setting \"scale\""),
        (json!({"type": "image", "std": [1, 0]}), "setting \"std\""),
        (
            json!({"type": "image", "data_format": "nhwc"}),
            "setting \"data_format\"",
        ),
        (
            json!({"type": "image", "augment": true}),
            "setting \"augment\"",
        ),
        (
            json!({"type": "image", "augment": {"spin": 1}}),
            "unknown setting of column \"x\": \"spin\"",
        ),
        (
            json!({"type": "image", "augment": {"flip": "diagonal"}}),
            "setting \"flip\"",
        ),
        (
            json!({"type": "image", "augment": {"shift": -1}}),
            "setting \"shift\"",
        ),
        (
            json!({"type": "sequence", "length": 0}),
            "setting \"length\"",
        ),
        (json!({"type": "vector", "scale": 3}), "setting \"scale\""),
        (
            json!({"type": "sequence", "vocabulary": 9}),
            "goes with an embedding",
        ),
        (json!("text"), "cannot be treated as \"text\""),
        (json!("numeric"), "cannot be treated as \"numeric\""),
        (json!("categorical"), "cannot be treated as \"categorical\""),
    ] {
        let (given, _) = table.error(treatment.clone());
        assert!(given.contains(message), "{treatment}: {given}");
    }
    let (message, hint) = bytes([[1_u8].as_slice()]).error(json!("vector"));
    assert!(
        message.contains("bytea cannot be treated as \"vector\""),
        "{message}"
    );
    assert!(hint.contains("\"image\""));
}

#[test]
fn damaged_descriptions_are_refused() {
    let vectors = numbers([flat(&[1.0, 2.0]), flat(&[2.0, 3.0])]);
    let images = numbers([nested(&[2, 2], &[0.0, 1.0, 2.0, 3.0])]);
    let sequences = numbers([flat(&[0.0, 1.0])]).rank(Rank::Sequence);
    let tokens = numbers([flat(&[0.0, 1.0])]).rank(Rank::Sequence).embedded();
    let settings = json!({"type": "image", "augment": {"flip": true, "crop": 1}});
    for (table, treatment, changes) in [
        (
            &vectors,
            json!("vector"),
            vec![
                ("center", json!([])),
                ("center", json!([0.0])),
                ("divisor", json!([1.0, 0.0])),
                ("divisor", json!([1.0, 1e-320])),
                ("low", json!([1.0])),
                ("clip", json!(0.0)),
            ],
        ),
        (
            &images,
            settings,
            vec![
                ("geometry", json!({"shape": null})),
                ("geometry", json!({"shape": [1, 0, 2]})),
                ("geometry", json!({"shape": [1_u64 << 40, 1_u64 << 40, 2]})),
                (
                    "geometry",
                    json!({"shape": [1, 2, 2], "crop": [4_000_000_000_u64, 2]}),
                ),
                ("scale", json!(0.0)),
                ("mean", json!([1.0, 2.0])),
                ("std", json!([-1.0])),
                ("augment", json!({"shift": -2.0})),
            ],
        ),
        (
            &sequences,
            json!("sequence"),
            vec![
                ("length", json!(0)),
                ("length", json!(1_u64 << 60)),
                ("features", json!(2)),
                ("divisor", json!([0.0])),
                ("tokens", json!({"known": 0, "other": false})),
            ],
        ),
        (
            &tokens,
            json!("sequence"),
            vec![("tokens", json!({"known": 1_u64 << 60, "other": true}))],
        ),
    ] {
        let (set, _) = table.fit(treatment).unwrap();
        let whole = serde_json::to_value(&set).unwrap();
        for (key, value) in changes {
            let mut other = whole.clone();
            assert!(
                other["features"][0]["treatment"].get(key).is_some() || key == "tokens",
                "{key}"
            );
            other["features"][0]["treatment"][key] = value.clone();
            let read: Result<FeatureSet, _> = serde_json::from_value(other);
            let refused = read.is_err() || read.is_ok_and(|set| set.validate().is_err());
            assert!(refused, "{key}: {value}");
        }
    }
    assert_eq!(
        Tokens {
            known: 3,
            other: true
        }
        .vocabulary(),
        4
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

#[test]
fn how_rows_are_cut_into_blocks_does_not_change_what_is_fitted() {
    let cells = |count: usize| {
        (0..count).map(|i| {
            let step = |j: usize| ((i * 7 + j * 3) % 11) as f32;
            let length = 1 + i % 5;
            nested(&[length, 2], &(0..2 * length).map(step).collect::<Vec<_>>())
        })
    };
    let settings = json!({"type": "sequence", "scale": "robust"});
    // More rows than are read at once, and the statistics of a plain loop over them.
    let (set, _) = numbers(cells(9000)).fit(settings).unwrap();
    let mut firsts: Vec<f32> = cells(9000)
        .flat_map(|cell| match cell {
            Cell::Numbers(_, numbers) => numbers.into_iter().step_by(2).collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .collect();
    firsts.sort_by(f32::total_cmp);
    let Fitted::Sequence(fitted) = &set.features[0].treatment else {
        panic!("a sequence")
    };
    let middle = f64::from(firsts[firsts.len() / 2]);
    assert_eq!((fitted.length, fitted.center[0]), (5, middle));
}

#[test]
fn what_is_told_needs_no_rows() {
    let told = |sql_type: &str, treatment: &str, settings: Value, embedded| {
        let mut feature = json!({"name": "x", "type": treatment, "sql_type": sql_type});
        let settings = settings.as_object().unwrap().clone();
        feature.as_object_mut().unwrap().extend(settings);
        let set = FeatureSet::told(&json!([feature]), &|_, _| embedded);
        set.map(|mut set| set.features.remove(0).treatment)
    };
    let array = "real[]";
    let settings = json!({"length": 2, "mean": [1, 2], "std": 4});
    let Ok(Fitted::Vector(vector)) = told(array, "vector", settings, None) else {
        panic!("a vector")
    };
    let (center, divisor) = (vector.center, vector.divisor);
    assert_eq!((center, divisor), (vec![1.0, 2.0], vec![4.0, 4.0]));
    let settings = json!({"shape": [3, 4, 4], "mean": [0.1, 0.2, 0.3]});
    let Ok(Fitted::Image(image)) = told("bytea", "image", settings, None) else {
        panic!("an image")
    };
    assert_eq!((image.scale, image.mean.len()), (255.0, 3));
    let Ok(Fitted::Sequence(sequence)) =
        told(array, "sequence", json!({"length": 5}), Some(Some(9)))
    else {
        panic!("a sequence")
    };
    assert_eq!(sequence.tokens.map(Tokens::vocabulary), Some(9));
    for (treatment, settings, embedded, fault) in [
        ("vector", json!({}), None, "\"length\""),
        (
            "vector",
            json!({"length": 2, "mean": [1]}),
            None,
            "\"mean\"",
        ),
        (
            "vector",
            json!({"length": 2, "scale": "robust"}),
            None,
            "\"scale\"",
        ),
        ("image", json!({}), None, "\"shape\""),
        (
            "image",
            json!({"shape": [1, 2, 2], "std": "fit"}),
            None,
            "\"std\"",
        ),
        (
            "sequence",
            json!({"length": 2}),
            Some(None),
            "\"vocabulary\"",
        ),
        (
            "sequence",
            json!({"length": 2, "lenght": 2}),
            None,
            "\"lenght\"",
        ),
    ] {
        let error = told(array, treatment, settings, embedded).unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
    }
    for (sql_type, treatment) in [("real", "vector"), (array, "numeric"), ("bytea", "vector")] {
        let error = told(sql_type, treatment, json!({"length": 2}), None).unwrap_err();
        assert!(matches!(error, Error::Type { .. }), "{error}");
    }
}
