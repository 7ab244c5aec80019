//! Converts a synthetic model of width two.

use super::super::ctranslate2::tests::file;
use super::*;

type Tensors = Vec<(String, Vec<u32>, u8, Vec<u8>)>;

/// A model of width 2 with one layer on each side.
fn tiny() -> Tensors {
    let mut list: Tensors = Vec::new();
    let half = |name: &str, shape: &[u32]| {
        let size = shape.iter().product::<u32>() as usize * 2;
        let data = (0..size).map(|index| u8::try_from(index % 60).unwrap()).collect();
        (name.to_owned(), shape.to_vec(), 4, data)
    };
    list.push(half("decoder/embeddings/weight", &[51_864, 2]));
    list.push(half("encoder/conv1/weight", &[2, 80, 3]));
    list.push(half("encoder/conv2/weight", &[2, 2, 3]));
    list.push(half("encoder/conv1/bias", &[2]));
    list.push(half("encoder/conv2/bias", &[2]));
    for side in ["encoder", "decoder"] {
        list.push((format!("{side}/num_heads"), vec![], 2, vec![1, 0]));
        list.push(half(&format!("{side}/position_encodings/encodings"), &[3, 2]));
        let mut norms = vec![format!("{side}/layer_norm")];
        let mut linears = vec![("self_attention/linear_0", 6), ("self_attention/linear_1", 2)];
        linears.extend([("ffn/linear_0", 8), ("ffn/linear_1", 2)]);
        norms.extend(["self_attention", "ffn"].map(|part| format!("{side}/layer_0/{part}/layer_norm")));
        if side == "decoder" {
            norms.push("decoder/layer_0/attention/layer_norm".into());
            linears.extend([("attention/linear_0", 2), ("attention/linear_1", 4), ("attention/linear_2", 2)]);
        }
        for norm in norms {
            list.push(half(&format!("{norm}/gamma"), &[2]));
            list.push(half(&format!("{norm}/beta"), &[2]));
        }
        for (linear, rows) in linears {
            list.push(half(&format!("{side}/layer_0/{linear}/weight"), &[rows, 2]));
            list.push(half(&format!("{side}/layer_0/{linear}/bias"), &[rows]));
        }
    }
    list
}

fn bytes(tensors: &Tensors) -> Vec<u8> {
    let borrowed: Vec<_> = tensors
        .iter()
        .map(|(name, shape, code, data)| (name.as_str(), shape.as_slice(), *code, data.clone()))
        .collect();
    file(&borrowed)
}

fn vocabulary() -> Vec<u8> {
    let vocab: serde_json::Map<_, _> = (0..50_256)
        .map(|id| {
            // Printable characters only: the id in hexadecimal.
            (format!("{id:x}"), id.into())
        })
        .collect();
    serde_json::to_vec(&serde_json::json!({"model": {"vocab": vocab}})).unwrap()
}

#[test]
fn a_synthetic_model_gets_the_expected_header() {
    let mut out = Vec::new();
    convert(&bytes(&tiny()), &vocabulary(), Precision::Half, &mut out).unwrap();
    let number = |index: usize| i32::from_le_bytes(out[index * 4..index * 4 + 4].try_into().unwrap());
    assert_eq!(out[..4], MAGIC.to_le_bytes());
    let header: Vec<i32> = (1..12).map(number).collect();
    assert_eq!(header, [51_864, 3, 2, 1, 1, 3, 2, 1, 1, 80, 1]);
    assert_eq!([number(12), number(13)], [80, 201]);
    assert_eq!(number(14 + 80 * 201), 50_256);
    // Keys have no bias in Whisper; the fused tensor's middle third is dropped.
    let contains = |name: &str| out.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(contains("decoder.blocks.0.cross_attn.value.bias"));
    assert!(!contains("attn.key.bias"));
}

#[test]
fn a_missing_tensor_or_wrong_precision_is_refused() {
    let vocabulary = vocabulary();
    let complete = tiny();
    for index in 0..complete.len() {
        let mut tensors = complete.clone();
        let (name, ..) = tensors.remove(index);
        let result = convert(&bytes(&tensors), &vocabulary, Precision::Half, &mut Vec::new());
        assert!(matches!(result, Err(ConvertError::Format(_))), "{name}");
    }
    let mut tensors = complete;
    let bias = tensors.iter_mut().find(|(name, ..)| name == "encoder/conv1/bias").unwrap();
    (bias.2, bias.3) = (0, vec![0; 8]);
    let error = convert(&bytes(&tensors), &vocabulary, Precision::Half, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("half precision"), "{error}");
}

/// The checksums of whole models show that the result equals that of whisper.cpp's own program.
#[test]
fn blocks_of_eight_bits_share_a_factor() {
    let numbers: Vec<f32> = (0..64).map(|n| if n < 32 { (n as f32 - 16.0) / 8.0 } else { 0.0 }).collect();
    let data: Vec<u8> = numbers.iter().flat_map(|number| f16::from_f32(*number).to_le_bytes()).collect();
    let mut out = Vec::new();
    write_blocks(&data, 64, "w", &mut out).unwrap();
    assert_eq!(out.len(), 2 * (2 + BLOCK));
    let factor = f16::from_le_bytes([out[0], out[1]]).to_f32();
    for (number, byte) in numbers.iter().zip(&out[2..34]) {
        let back = factor * f32::from(i8::from_le_bytes([*byte]));
        assert!((back - number).abs() <= factor, "{number} is {back}");
    }
    assert_eq!(out[34..], [0; 34]);
    let error = write_blocks(&data, 48, "w", &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("48") && error.contains("32"), "{error}");
}
