//! URIs that a hostile playlist may use for a segment, a key, a map or another playlist.

/// Pairs of a description and a URI. None leads out of this machine: hosts are 127.0.0.2 and `[::1]`, in many
/// notations. A [`Canary`](crate::Canary) at `port` counts each contact. `file` is a file that no client may
/// read.
#[must_use]
pub fn uris(port: u16, file: &std::path::Path) -> Vec<(&'static str, String)> {
    let file = file.display();
    vec![
        ("a local file", format!("file://{file}")),
        ("a local file, by its path", format!("file:{file}")),
        ("part of a local file", format!("subfile,,start,0,end,64,,:{file}")),
        ("local files, concatenated", format!("concat:{file}|{file}")),
        ("a list of local files", format!("concatf:{file}")),
        ("a local file, decrypted", format!("crypto:{file}")),
        ("a local file, cached", format!("cache:file:{file}")),
        ("a playlist inside a protocol", format!("hls+http://127.0.0.2:{port}/x.m3u8")),
        ("data", "data:video/mp2t;base64,R0AAEA==".to_owned()),
        ("a pipe", "pipe:0".to_owned()),
        ("a socket of this machine", "unix:/run/x.sock".to_owned()),
        ("another host", format!("http://127.0.0.2:{port}/secret")),
        ("another host, with TLS", format!("https://127.0.0.2:{port}/secret")),
        ("another host, IPv6", format!("http://[::1]:{port}/secret")),
        ("another host, IPv4-mapped IPv6", format!("http://[::ffff:127.0.0.2]:{port}/secret")),
        ("another host, as one number", format!("http://2130706434:{port}/secret")),
        ("another host, hexadecimal", format!("http://0x7f000002:{port}/secret")),
        ("another host, octal", format!("http://0177.0.0.02:{port}/secret")),
        ("another host, shortened", format!("http://127.2:{port}/secret")),
        ("another host, after a user name", format!("http://127.0.0.1:{port}@127.0.0.2:{port}/secret")),
        ("another host, scheme-relative", format!("//127.0.0.2:{port}/secret")),
        ("another host, with backslashes", format!("http:\\\\127.0.0.2:{port}\\secret")),
        ("another protocol: ftp", format!("ftp://127.0.0.2:{port}/secret")),
        ("another protocol: gopher", format!("gopher://127.0.0.2:{port}/_secret")),
        ("another protocol: rtmp", format!("rtmp://127.0.0.2:{port}/secret")),
        ("another protocol: rtp", format!("rtp://127.0.0.2:{port}")),
        ("another protocol: tcp", format!("tcp://127.0.0.2:{port}")),
        ("another protocol: udp", format!("udp://127.0.0.2:{port}")),
        ("a file on a host", format!("file://127.0.0.2{file}")),
    ]
}
