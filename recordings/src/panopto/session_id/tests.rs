//! Every form of address that Panopto, its feeds, the platforms around it and people are known to produce.

use super::*;

const G: &str = "26b3ae9e-4a48-4dcc-96ba-0befba08a0fb";
const OTHER: &str = "f3b30000-0000-4000-8000-00000000f3b3";
const LTI: &str =
    "https%3A%2F%2Frochester.hosted.panopto.com%2FPanopto%2FLTI%2FLTI.aspx%3Fcustom_context_delivery%3D";

/// A row of the table: its number, the address (`H` and `G` are written out), and the id or the code of the refusal.
type Row = (u8, String, Result<&'static str, &'static str>);

fn page(rest: &str) -> String {
    format!("https://rochester.hosted.panopto.com/Panopto{}", rest.replace("{G}", G))
}

fn rows() -> Vec<Row> {
    let upper = G.to_uppercase();
    let mut rows: Vec<Row> = vec![
        (1, page("/Pages/Viewer.aspx?id={G}"), Ok(G)),
        (2, page("/Pages/Embed.aspx?id={G}&autoplay=false&offerviewer=true"), Ok(G)),
        (3, page(&format!("/Pages/Viewer.aspx?pid={OTHER}&id={{G}}&start=120")), Ok(G)),
        (4, page(&format!("/Pages/Viewer.aspx?ID={upper}")), Ok(G)),
        (5, page("/Pages/Viewer.aspx?id=%20{G}%20"), Ok(G)),
        (6, page("/Pages/Viewer.aspx?id=%7B{G}%7D"), Ok(G)),
        (7, page("/Pages/Viewer.aspx?tid={G}"), Err("tid-only")),
        (9, page("/Pages/Transcription/GenerateSRT.ashx?id={G}&language=0"), Ok(G)),
        (10, page("/Pages/Viewer/DeliveryInfo.aspx?deliveryId={G}&responseType=json"), Ok(G)),
        (11, page("/Podcast/Podcast.ashx?courseid={G}&type=mp4"), Err("folder")),
        (12, page("/Pages/Sessions/List.aspx#folderID=%22{G}%22"), Err("folder")),
        (13, page("/Pages/Viewer.aspx?pid={G}"), Err("playlist")),
        (14, page("/Pages/Viewer.aspx?id="), Err("no-id")),
        (15, page("/Pages/Viewer.aspx?id=abc123"), Err("id-not-guid")),
        (
            16,
            page("/Pages/Auth/Login.aspx?ReturnUrl=%2FPanopto%2FPages%2FViewer.aspx%3Fid%3D{G}"),
            Err("login-page"),
        ),
        (
            17,
            format!(
                "https://d2y36twrtb17ty.cloudfront.net/sessions/{OTHER}/{G}-{OTHER}.hls/master.m3u8?InvocationID={G}"
            ),
            Err("host-not-panopto"),
        ),
        (18, format!("https://evil.example/x?id={G}"), Err("host-not-panopto")),
        (
            18,
            format!("https://rochester.hosted.panopto.com.evil.example/Panopto/Pages/Viewer.aspx?id={G}"),
            Err("host-not-panopto"),
        ),
        (
            19,
            format!("http://rochester.hosted.panopto.com@169.254.169.254/Panopto/Pages/Viewer.aspx?id={G}"),
            Err("url-credentials"),
        ),
        (
            19,
            format!("ftp://rochester.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={G}"),
            Err("url-scheme"),
        ),
        (19, format!("https://169.254.169.254/Panopto/Pages/Viewer.aspx?id={G}"), Err("url-ip-host")),
        (20, page(&format!("/Pages/Viewer.aspx?id={{G}}&id={OTHER}")), Err("ids-differ")),
        (20, page("/Pages/Viewer.aspx?id={G}&id=ffff"), Err("ids-differ")),
        (20, page(&format!("/Pages/Viewer.aspx?id={{G}}&ID={upper}&id=")), Ok(G)),
        (21, page("/Pages/Viewer.aspx?id={G}\u{200b}"), Ok(G)),
        (21, page("/Pages/Viewer.aspx?id={G}%E2%80%8B"), Ok(G)),
        (
            22,
            format!(
                "https://canvas.example/courses/1/external_tools/retrieve?display=borderless&url={LTI}{G}"
            ),
            Ok(G),
        ),
        (
            22,
            format!(
                "https://canvas.example/courses/1/external_tools/retrieve?url=https%3A%2F%2Fevil.example%2FLTI.aspx\
                 %3Fcustom_context_delivery%3D{G}"
            ),
            Err("host-not-panopto"),
        ),
        (
            22,
            "https://canvas.example/courses/1/external_tools/retrieve?url=x".into(),
            Err("host-not-panopto"),
        ),
        (
            22,
            format!("https://canvas.example/courses/1/external_tools/retrieve?url={LTI}1"),
            Err("id-not-guid"),
        ),
        (23, "not a url".into(), Err("url-invalid")),
        (23, String::new(), Err("url-invalid")),
    ];
    for form in ["Download", "Stream", "Syndication", "Social"] {
        rows.push((8, page(&format!("/Podcast/{form}/{{G}}.mp4?mediaTargetType=audioPodcast")), Ok(G)));
    }
    rows
}

fn outcome(result: Result<String, SessionIdError>) -> Result<String, &'static str> {
    result.map_err(|error| error.code())
}

#[test]
fn every_known_form_of_address() {
    let rows = rows();
    for (number, url, wanted) in &rows {
        let wanted = wanted.map(str::to_owned);
        assert_eq!(outcome(session_id(url, None, &[])), wanted, "row {number}: {url}");
    }
    for number in 1..=23 {
        assert!(rows.iter().any(|row| row.0 == number), "row {number} is missing");
    }
}

#[test]
fn a_client_id_counts_only_where_the_viewer_address_has_none() {
    let table = [
        (page("/Pages/Viewer.aspx?tid={G}"), OTHER, Ok(OTHER)),
        (page("/Pages/Viewer.aspx"), OTHER, Ok(OTHER)),
        (page("/Pages/Viewer.aspx?tid={G}"), "abc123", Err("session-id-not-guid")),
        (page("/Pages/Viewer.aspx?tid={G}"), "", Err("session-id-not-guid")),
        (
            page("/Pages/Viewer.aspx?tid={G}"),
            "00000000-0000-0000-0000-000000000000",
            Err("session-id-not-guid"),
        ),
        (page("/Pages/Viewer.aspx?id={G}"), OTHER, Ok(G)),
        (page("/Pages/Viewer.aspx?id={G}"), "abc123", Ok(G)),
        (page("/Pages/Viewer.aspx?id=abc123"), OTHER, Err("id-not-guid")),
        (page("/Pages/Viewer.aspx?pid={G}"), OTHER, Err("playlist")),
        (page("/Pages/Sessions/List.aspx"), OTHER, Err("folder")),
        (page("/Pages/Auth/Login.aspx"), OTHER, Err("login-page")),
        ("https://evil.example/".into(), OTHER, Err("host-not-panopto")),
    ];
    for (url, client, wanted) in table {
        let wanted = wanted.map(str::to_owned);
        assert_eq!(outcome(session_id(&url, Some(client), &[])), wanted, "{url} with {client}");
    }
    let by_tid = recording(&page("/Pages/Viewer.aspx?tid={G}"), Some(OTHER), &[]).expect("a recording");
    assert_eq!(by_tid.key, DeliveryKey::Tid(G.parse().expect("a GUID")));
}

#[test]
fn hostile_and_careless_text() {
    let good = page("/Pages/Viewer.aspx?id={G}");
    let table = [
        (format!(" \u{feff}{good}\u{200b} "), Ok(G)),
        (good.replace("https://", "http://"), Ok(G)),
        (good.replace("Panopto/", "Panopto\0/"), Err("url-control-characters")),
        (good.replace("Panopto/", "Pan\nopto/"), Err("url-control-characters")),
        (good.replace("id=", "id=%00"), Err("id-not-guid")),
        (good.replace("rochester", "127.0.0.1"), Ok(G)),
        (format!("{good}&pad={}", "x".repeat(MAX_LENGTH)), Err("url-too-long")),
        (good.replace(".com/", ".com:8443/"), Err("host-not-panopto")),
        (format!("javascript:alert(1)//{good}"), Err("url-scheme")),
        (good.replace("https:", "itpc:"), Err("url-scheme")),
        (page("/Pages/Viewer.aspx?id=00000000-0000-0000-0000-000000000000"), Err("id-not-guid")),
        (page(&format!("/Pages/Viewer.aspx?id={}", G.replace('-', ""))), Ok(G)),
        (page("/Pages/Viewer.aspx?id=urn:uuid:{G}"), Err("id-not-guid")),
        (page("/Podcast/Download/.mp4"), Err("id-not-guid")),
        (page("/Podcast/Download/abc.mp4?id={G}"), Err("id-not-guid")),
    ];
    for (url, wanted) in table {
        assert_eq!(outcome(session_id(&url, None, &[])), wanted.map(str::to_owned), "{url:?}");
    }
}

#[test]
fn tenants_are_asked_where_they_were_configured() {
    let tenants = ["panopto.imperial.ac.uk".to_owned(), "127.0.0.1:8999".to_owned()];
    let origin = |url: &str| recording(url, None, &tenants).map(|found| found.origin.to_string());
    let at = |host: &str| format!("{host}/Panopto/Pages/Viewer.aspx?id={G}");
    assert_eq!(
        origin(&at("https://panopto.imperial.ac.uk")).as_deref(),
        Ok("https://panopto.imperial.ac.uk/")
    );
    assert_eq!(
        origin(&at("http://panopto.imperial.ac.uk")).as_deref(),
        Ok("https://panopto.imperial.ac.uk/")
    );
    assert_eq!(origin(&at("http://127.0.0.1:8999")).as_deref(), Ok("http://127.0.0.1:8999/"));
    assert_eq!(origin(&at("http://127.0.0.1:8998")), Err(SessionIdError::IpHost));
    let launched = format!("https://canvas.example/courses/1/external_tools/retrieve?url={LTI}{G}");
    assert_eq!(origin(&launched).as_deref(), Ok("https://rochester.hosted.panopto.com/"));
}

#[test]
fn every_refusal_has_its_own_code_and_says_what_to_do() {
    let all = [
        SessionIdError::NotAUrl,
        SessionIdError::TooLong,
        SessionIdError::ControlCharacters,
        SessionIdError::Scheme,
        SessionIdError::Credentials,
        SessionIdError::IpHost,
        SessionIdError::ForeignHost { host: "evil.example".into() },
        SessionIdError::Folder,
        SessionIdError::Playlist,
        SessionIdError::LoginPage,
        SessionIdError::OtherId,
        SessionIdError::NoId,
        SessionIdError::NotAGuid,
        SessionIdError::DifferingIds,
        SessionIdError::ClientIdNotAGuid,
    ];
    let mut codes: Vec<_> = all.iter().map(SessionIdError::code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all.len());
    for error in all {
        let text = error.to_string();
        assert!(["Copy", "send", "Send"].iter().any(|verb| text.contains(verb)), "{text}");
    }
}
