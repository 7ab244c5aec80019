//! Writes a Whisper model in the form whisper.cpp reads: magic, eleven hyper-parameters, mel filters, tokens, tensors.
//!
//! Matrices stay in half precision; vectors, positional embeddings and the biases of the two convolutions are
//! written in single precision, as whisper.cpp expects.

use std::io::{self, Write};

use super::ctranslate2::{Element, FormatError, Model, Tensor};
use super::layout::{Source, tensors};
use super::{mel, tokens};

/// First four bytes of every such file, as a little-endian number.
pub(super) const MAGIC: u32 = 0x6767_6d6c;

/// Vocabularies from this size on know several languages, and one token more before the special ones.
const MULTILINGUAL_VOCABULARY: usize = 51_865;
/// More layers, or wider ones, than any published model has.
const MAX_LAYERS: usize = 64;
const MAX_DIMENSION: usize = 1 << 20;

/// Why a conversion ended.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The input is not a model that can be converted.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The output could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The hyper-parameters that a model's tensors imply.
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
    out: &mut dyn Write,
) -> Result<(), ConvertError> {
    let model = Model::parse(model_bin)?;
    let shape = Shape::of(&model)?;
    let tokens = tokens::tokens(tokenizer_json, shape.token_count())?;
    write_header(&shape, out)?;
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
        write_tensor(&model, &name, &source, out)?;
    }
    Ok(())
}

fn write_header(shape: &Shape, out: &mut dyn Write) -> Result<(), ConvertError> {
    const HALF_PRECISION: usize = 1;
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
        HALF_PRECISION,
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
    write_number(out, usize::from(!single))?;
    for dimension in shape.iter().rev() {
        write_number(out, *dimension)?;
    }
    out.write_all(name.as_bytes())?;
    if single {
        for half in data.chunks_exact(2) {
            out.write_all(&widen(u16::from_le_bytes([half[0], half[1]])).to_le_bytes())?;
        }
    } else {
        out.write_all(data)?;
    }
    Ok(())
}

/// A half-precision number (IEEE 754 binary16) in single precision, exactly.
fn widen(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half & 0x3ff);
    let bits = match (exponent, fraction) {
        (0, 0) => sign,
        // Subnormal: fraction * 2^-24, a number that single precision holds as a normal one.
        (0, fraction) => {
            let shift = fraction.leading_zeros() - 21;
            sign | (113 - shift) << 23 | (fraction << (shift + 13)) & 0x7f_ffff
        }
        (31, fraction) => sign | 0xff << 23 | fraction << 13,
        (exponent, fraction) => sign | (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(bits)
}

#[cfg(test)]
mod tests;
