//! Writes a Whisper model for whisper.cpp: magic, eleven hyper-parameters, mel filters, tokens, tensors.
//!
//! Matrices stay in half precision or are quantized to eight bits. Convolutions stay in half precision.
//! Vectors, positional embeddings and the biases of the two convolutions are written in single precision, as
//! whisper.cpp expects.

use std::io::{self, Write};

use half::f16;

use super::ctranslate2::{Element, FormatError, Model, Tensor};
use super::layout::{Source, tensors};
use super::{mel, tokens};

/// First four bytes of every ggml file, as a little-endian number.
pub(super) const MAGIC: u32 = 0x6767_6d6c;

/// The precision of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// Half precision, unchanged.
    Half,
    /// Blocks of 32 numbers of eight bits with a common factor (ggml's `q8_0`): 34 bytes instead of 64.
    Eight,
}

impl Precision {
    /// The code in the hyper-parameters. 2000 is the second version of ggml's quantized forms.
    fn file_code(self) -> usize {
        match self {
            Self::Half => 1,
            Self::Eight => 2007,
        }
    }

    /// The code in the header of a matrix.
    fn tensor_code(self) -> usize {
        match self {
            Self::Half => 1,
            Self::Eight => 8,
        }
    }
}

/// Numbers of a block in [`Precision::Eight`].
const BLOCK: usize = 32;

/// Least size of a multilingual vocabulary. It has one more token before the special ones.
const MULTILINGUAL_VOCABULARY: usize = 51_865;

/// Most layers; no published model has as many.
const MAX_LAYERS: usize = 64;

/// Largest dimension of a tensor; no published model has one as large.
const MAX_DIMENSION: usize = 1 << 20;

/// Why a conversion failed.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The input is not a model that can be converted.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The output could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A model's hyper-parameters, derived from its tensors.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    vocabulary: usize,
    audio_context: usize,
    text_context: usize,
    width: usize,
    audio_heads: usize,
    text_heads: usize,
    audio_layers: usize,
    text_layers: usize,
    mels: usize,
}

impl Shape {
    fn of(model: &Model<'_>) -> Result<Self, FormatError> {
        let [vocabulary, width] = dimensions(model, "decoder/embeddings/weight")?;
        let [audio_context, _] = dimensions(model, "encoder/position_encodings/encodings")?;
        let [text_context, _] = dimensions(model, "decoder/position_encodings/encodings")?;
        let [_, mels, _] = dimensions(model, "encoder/conv1/weight")?;
        if mels != mel::FILTERS {
            return Err(FormatError::unexpected("the number of mel filters", mels, mel::FILTERS.to_string()));
        }
        Ok(Self {
            vocabulary,
            audio_context,
            text_context,
            width,
            audio_heads: heads(model, "encoder/num_heads")?,
            text_heads: heads(model, "decoder/num_heads")?,
            audio_layers: layers(model, "encoder")?,
            text_layers: layers(model, "decoder")?,
            mels,
        })
    }

    fn token_count(&self) -> usize {
        if self.vocabulary >= MULTILINGUAL_VOCABULARY { 50_257 } else { 50_256 }
    }
}

fn dimensions<const N: usize>(model: &Model<'_>, name: &str) -> Result<[usize; N], FormatError> {
    let shape = &model.tensor(name)?.shape;
    let fixed: [usize; N] = shape
        .as_slice()
        .try_into()
        .map_err(|_| FormatError::unexpected(format!("the rank of {name}"), shape.len(), N.to_string()))?;
    match fixed.iter().find(|dimension| !(1..=MAX_DIMENSION).contains(*dimension)) {
        Some(odd) => Err(FormatError::unexpected(format!("a dimension of {name}"), odd, "1 to 1048576")),
        None => Ok(fixed),
    }
}

fn heads(model: &Model<'_>, name: &str) -> Result<usize, FormatError> {
    let tensor = model.tensor(name)?;
    match (tensor.element, tensor.data) {
        (Element::I16, [low, high]) => Ok(usize::from(u16::from_le_bytes([*low, *high]))),
        _ => Err(FormatError::unexpected(name, "of another type", "one 16-bit number")),
    }
}

fn layers(model: &Model<'_>, side: &str) -> Result<usize, FormatError> {
    let has = |layer: &usize| model.has(&format!("{side}/layer_{layer}/self_attention/linear_0/weight"));
    match (0..=MAX_LAYERS).take_while(has).count() {
        count @ 1..=MAX_LAYERS => Ok(count),
        count => Err(FormatError::unexpected(format!("the layers of the {side}"), count, "1 to 64")),
    }
}

/// Writes the model in `model_bin` with the vocabulary of `tokenizer_json` to `out`.
pub(super) fn convert(
    model_bin: &[u8],
    tokenizer_json: &[u8],
    precision: Precision,
    out: &mut dyn Write,
) -> Result<(), ConvertError> {
    let model = Model::parse(model_bin)?;
    let shape = Shape::of(&model)?;
    let tokens = tokens::tokens(tokenizer_json, shape.token_count())?;
    write_header(&shape, precision, out)?;
    write_number(out, mel::FILTERS)?;
    write_number(out, mel::FREQUENCIES)?;
    for weight in mel::filters() {
        out.write_all(&weight.to_le_bytes())?;
    }
    write_number(out, tokens.len())?;
    for token in &tokens {
        write_number(out, token.len())?;
        out.write_all(token)?;
    }
    for (name, source) in tensors(shape.audio_layers, shape.text_layers) {
        write_tensor(&model, &name, &source, precision, out)?;
    }
    Ok(())
}

fn write_header(shape: &Shape, precision: Precision, out: &mut dyn Write) -> Result<(), ConvertError> {
    out.write_all(&MAGIC.to_le_bytes())?;
    for number in [
        shape.vocabulary,
        shape.audio_context,
        shape.width,
        shape.audio_heads,
        shape.audio_layers,
        shape.text_context,
        shape.width,
        shape.text_heads,
        shape.text_layers,
        shape.mels,
        precision.file_code(),
    ] {
        write_number(out, number)?;
    }
    Ok(())
}

fn write_number(out: &mut dyn Write, number: usize) -> Result<(), ConvertError> {
    let number = i32::try_from(number)
        .map_err(|_| FormatError::unexpected("a length", number, "at most 2147483647"))?;
    Ok(out.write_all(&number.to_le_bytes())?)
}

fn write_tensor(
    model: &Model<'_>,
    name: &str,
    source: &Source,
    precision: Precision,
    out: &mut dyn Write,
) -> Result<(), ConvertError> {
    let Tensor { mut shape, element, data } = model.tensor(&source.tensor)?.clone();
    if element != Element::F16 {
        return Err(FormatError::unexpected(&source.tensor, "not in half precision", "half precision").into());
    }
    let rows = shape.first().copied().unwrap_or(0);
    if rows == 0 || !rows.is_multiple_of(source.parts) {
        let expected = format!("a multiple of {}", source.parts);
        return Err(FormatError::unexpected(format!("the rows of {}", source.tensor), rows, expected).into());
    }
    shape[0] = rows / source.parts;
    let length = data.len() / source.parts;
    let data = &data[length * source.part..length * (source.part + 1)];

    let bias_of_convolution = name.starts_with("encoder.conv") && name.ends_with(".bias");
    if bias_of_convolution {
        shape.push(1);
    }
    let single = shape.len() < 2 || bias_of_convolution || name.ends_with("positional_embedding");

    write_number(out, shape.len())?;
    write_number(out, name.len())?;
    // ggml quantizes only matrices, and none that is added to something.
    let precision = if shape.len() == 2 { precision } else { Precision::Half };
    write_number(out, if single { 0 } else { precision.tensor_code() })?;
    for dimension in shape.iter().rev() {
        write_number(out, *dimension)?;
    }
    out.write_all(name.as_bytes())?;
    if single {
        for half in data.chunks_exact(2) {
            out.write_all(&f16::from_le_bytes([half[0], half[1]]).to_f32().to_le_bytes())?;
        }
    } else if precision == Precision::Half {
        out.write_all(data)?;
    } else {
        write_blocks(data, shape[1], &source.tensor, out)?;
    }
    Ok(())
}

/// Quantizes rows of `width` numbers in half precision to [`Precision::Eight`].
fn write_blocks(data: &[u8], width: usize, tensor: &str, out: &mut dyn Write) -> Result<(), ConvertError> {
    if !width.is_multiple_of(BLOCK) {
        let expected = format!("a multiple of {BLOCK}");
        return Err(FormatError::unexpected(format!("the width of {tensor}"), width, expected).into());
    }
    for block in data.chunks_exact(2 * BLOCK) {
        let numbers = block.as_chunks::<2>().0.iter().map(|half| f16::from_le_bytes(*half).to_f32());
        let factor = numbers.clone().fold(0.0_f32, |most, number| most.max(number.abs())) / 127.0;
        let inverse = if factor == 0.0 { 0.0 } else { 1.0 / factor };
        let mut written = [0; 2 + BLOCK];
        written[..2].copy_from_slice(&f16::from_f32(factor).to_le_bytes());
        for (byte, number) in written[2..].iter_mut().zip(numbers) {
            #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
            let eight = (number * inverse).round() as i8;
            *byte = eight.to_le_bytes()[0];
        }
        out.write_all(&written)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
