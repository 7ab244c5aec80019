//! Maps each ggml tensor, in file order, to the CTranslate2 tensor or part of one that it comes from.

/// A CTranslate2 tensor, or one of `parts` equal groups of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub tensor: String,
    pub part: usize,
    pub parts: usize,
}

type Entry = (String, Source);

fn whole(name: &str, tensor: &str) -> Entry {
    (name.to_owned(), Source { tensor: tensor.to_owned(), part: 0, parts: 1 })
}

fn part_of(name: &str, tensor: &str, part: usize, parts: usize) -> Entry {
    (name.to_owned(), Source { tensor: tensor.to_owned(), part, parts })
}

fn linear(name: &str, tensor: &str) -> [Entry; 2] {
    ["weight", "bias"].map(|kind| whole(&format!("{name}.{kind}"), &format!("{tensor}/{kind}")))
}

fn norm(name: &str, tensor: &str) -> [Entry; 2] {
    [("weight", "gamma"), ("bias", "beta")]
        .map(|(kind, theirs)| whole(&format!("{name}.{kind}"), &format!("{tensor}/{theirs}")))
}

/// Query, key and value are one fused tensor. The bias of the key is zero in Whisper, and ggml has no tensor
/// for it.
fn self_attention(name: &str, tensor: &str) -> Vec<Entry> {
    let (weight, bias) = (format!("{tensor}/linear_0/weight"), format!("{tensor}/linear_0/bias"));
    let mut entries = vec![
        part_of(&format!("{name}.query.weight"), &weight, 0, 3),
        part_of(&format!("{name}.query.bias"), &bias, 0, 3),
        part_of(&format!("{name}.key.weight"), &weight, 1, 3),
        part_of(&format!("{name}.value.weight"), &weight, 2, 3),
        part_of(&format!("{name}.value.bias"), &bias, 2, 3),
    ];
    entries.extend(linear(&format!("{name}.out"), &format!("{tensor}/linear_1")));
    entries
}

/// The query is a separate tensor; key and value are fused.
fn cross_attention(name: &str, tensor: &str) -> Vec<Entry> {
    let (weight, bias) = (format!("{tensor}/linear_1/weight"), format!("{tensor}/linear_1/bias"));
    let mut entries = linear(&format!("{name}.query"), &format!("{tensor}/linear_0")).to_vec();
    entries.extend([
        part_of(&format!("{name}.key.weight"), &weight, 0, 2),
        part_of(&format!("{name}.value.weight"), &weight, 1, 2),
        part_of(&format!("{name}.value.bias"), &bias, 1, 2),
    ]);
    entries.extend(linear(&format!("{name}.out"), &format!("{tensor}/linear_2")));
    entries
}

fn block(side: &str, layer: usize) -> Vec<Entry> {
    let (name, tensor) = (format!("{side}.blocks.{layer}"), format!("{side}/layer_{layer}"));
    let mut entries =
        norm(&format!("{name}.attn_ln"), &format!("{tensor}/self_attention/layer_norm")).to_vec();
    entries.extend(self_attention(&format!("{name}.attn"), &format!("{tensor}/self_attention")));
    if side == "decoder" {
        entries.extend(norm(&format!("{name}.cross_attn_ln"), &format!("{tensor}/attention/layer_norm")));
        entries.extend(cross_attention(&format!("{name}.cross_attn"), &format!("{tensor}/attention")));
    }
    entries.extend(norm(&format!("{name}.mlp_ln"), &format!("{tensor}/ffn/layer_norm")));
    entries.extend(linear(&format!("{name}.mlp.0"), &format!("{tensor}/ffn/linear_0")));
    entries.extend(linear(&format!("{name}.mlp.2"), &format!("{tensor}/ffn/linear_1")));
    entries
}

/// Every tensor of a model with these numbers of encoder and decoder layers.
pub(super) fn tensors(audio_layers: usize, text_layers: usize) -> Vec<Entry> {
    let mut entries = vec![whole("encoder.positional_embedding", "encoder/position_encodings/encodings")];
    entries.extend(linear("encoder.conv1", "encoder/conv1"));
    entries.extend(linear("encoder.conv2", "encoder/conv2"));
    for layer in 0..audio_layers {
        entries.extend(block("encoder", layer));
    }
    entries.extend(norm("encoder.ln_post", "encoder/layer_norm"));
    entries.push(whole("decoder.positional_embedding", "decoder/position_encodings/encodings"));
    entries.push(whole("decoder.token_embedding.weight", "decoder/embeddings/weight"));
    for layer in 0..text_layers {
        entries.extend(block("decoder", layer));
    }
    entries.extend(norm("decoder.ln", "decoder/layer_norm"));
    entries
}
