//! Other formats in which models are kept, told by their first bytes.

/// How the file of another format becomes one that can be read.
const OF_PYTORCH: &str = "Load it with torch.load, and save the state_dict by \
                          safetensors.torch.save_file.";
const OF_KERAS: &str = "Load the model in Keras, and save its variables by safetensors.numpy.save_file({v.path: \
                        v.numpy() for v in model.weights}, …); then give the option \"layout\": \
                        \"in_out\".";
const OF_ARRAYS: &str = "Load the arrays with numpy, and save them by safetensors.numpy.save_file under \
                         the architecture's names.";
const OF_ONNX: &str = "Save the model's own state_dict by safetensors.torch.save_file where it was \
                       trained; an ONNX file has lost names and may have folded the weights.";
const OF_GGUF: &str = "Save the model that it was made from in safetensors format; quantised weights \
                       are not read.";
const UNPACK: &str = "Unpack it, and give the safetensors file inside.";
const FETCH: &str = "It stands for a file that git-lfs has not fetched: git lfs pull.";
const DECODE: &str = "Give the file's bytes as bytea: pg_read_binary_file, or decode(…, 'base64') of \
                      its text.";

/// A format that is not safetensors: what it is, and the way from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileFormat {
    /// What the file is.
    pub name: &'static str,
    /// What to do with it.
    pub way: &'static str,
}

/// First bytes, with what they are the beginning of.
const BEGINNINGS: &[(&[u8], &str, &str)] = &[
    (
        b"\x89HDF\r\n\x1a\n",
        "it is an HDF5 file, such as Keras's .h5 and .weights.h5",
        OF_KERAS,
    ),
    (b"\x93NUMPY", "it is a NumPy array (.npy)", OF_ARRAYS),
    (b"GGUF", "it is a GGUF file, as llama.cpp reads", OF_GGUF),
    (b"\x1f\x8b", "it is compressed by gzip", UNPACK),
    (b"\xfd7zXZ\0", "it is compressed by xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd", UNPACK),
    (
        b"version https://git-lfs",
        "it is a pointer of git-lfs",
        FETCH,
    ),
    (
        b"\x08\x01\x12",
        "it is a SavedModel of TensorFlow's",
        OF_KERAS,
    ),
];

impl FileFormat {
    /// The format whose files begin like this, if it is a known one.
    pub(super) fn recognise(bytes: &[u8]) -> Option<FileFormat> {
        let format = |name, way| Some(FileFormat { name, way });
        let begins = BEGINNINGS
            .iter()
            .find(|(first, ..)| bytes.starts_with(first));
        if let Some((_, name, way)) = begins {
            return format(name, way);
        }
        match bytes {
            [b'P', b'K', 3, 4, ..] => Some(zip(bytes)),
            // A pickle names its protocol; torch.save's before 1.6 begin with a number of their own.
            [0x80, 2..=5, ..] => format("it is a pickle, such as torch.save's", OF_PYTORCH),
            [_, _, _, _, b'T', b'F', b'L', b'3', ..] => {
                format("it is a TensorFlow Lite model", OF_ARRAYS)
            }
            // The version of the representation, then the producer's name.
            [8, 3..=31, 0x12, ..] | [8, 3..=31, 0x3a, ..] => format("it is an ONNX model", OF_ONNX),
            // A map of one to fifteen entries whose first key is a short text.
            [0x81..=0x8f, 0xa1..=0xbf, ..] => format(
                "it is a MessagePack file, such as Flax's .msgpack",
                OF_ARRAYS,
            ),
            _ if !bytes.is_empty() && bytes.iter().take(64).all(|b| b.is_ascii_graphic()) => {
                format("it is text, such as base64 or hexadecimal digits", DECODE)
            }
            _ => None,
        }
    }
}

/// What a ZIP archive's first entry tells of it.
fn zip(bytes: &[u8]) -> FileFormat {
    let length = bytes.get(26..28).map_or(0, |length| {
        usize::from(u16::from_le_bytes([length[0], length[1]]))
    });
    let first = bytes.get(30..).unwrap_or_default();
    let first = String::from_utf8_lossy(&first[..length.min(first.len())]);
    let (name, way) = if ["metadata.json", "config.json", "model.weights.h5"].contains(&&*first) {
        ("it is a Keras model (.keras)", OF_KERAS)
    } else if first.ends_with(".npy") {
        ("it is a NumPy archive (.npz)", OF_ARRAYS)
    } else if first.contains('/') {
        (
            "it is a ZIP archive, such as torch.save's .pt and .pth",
            OF_PYTORCH,
        )
    } else {
        ("it is a ZIP archive", UNPACK)
    };
    FileFormat { name, way }
}

#[cfg(test)]
mod tests {
    use super::FileFormat;

    /// The header of a ZIP archive whose first file has this name.
    fn zip(name: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(26, 0);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (bytes, part) in [
            (b"\x89HDF\r\n\x1a\n\0\0".to_vec(), "HDF5"),
            (zip("metadata.json"), "Keras"),
            (zip("archive/data.pkl"), "torch.save"),
            (zip("net/data.pkl"), "torch.save"),
            (zip("w.npy"), ".npz"),
            (b"\x80\x02\x8a\nl\xfc".to_vec(), "pickle"),
            (b"\x08\x08\x12\x07pytorch".to_vec(), "ONNX"),
            (b"GGUF\x03\0\0\0".to_vec(), "GGUF"),
            (b"\x93NUMPY\x01\0".to_vec(), ".npy"),
            (b"\x81\xa6params".to_vec(), "MessagePack"),
            (b"version https://git-lfs.github.com".to_vec(), "git-lfs"),
            (vec![b'A'; 100], "base64"),
        ] {
            let found = FileFormat::recognise(&bytes).expect(part);
            assert!(found.name.contains(part), "{}", found.name);
        }
        for length in 0..30 {
            FileFormat::recognise(&zip("metadata.json")[..length]);
        }
        assert_eq!(FileFormat::recognise(b""), None);
        assert_eq!(FileFormat::recognise(&[0; 20]), None);
    }
}
