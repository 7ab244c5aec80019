//! Icons: outlines on a grid of 24, drawn by the style sheet.

use maud::{Markup, html};

macro_rules! icons {
    ($($name:ident $path:literal;)*) => {
        /// An icon. It is decoration: text says the same beside it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Icon { $($name,)* }

        impl Icon {
            const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }
        }
    };
}

icons! {
    Alert "M12 4 2.8 20h18.4zM12 10v4M12 17v.2";
    Book "M5 4h12a2 2 0 0 1 2 2v14H7a2 2 0 0 1-2-2zM5 18a2 2 0 0 1 2-2h12";
    Chart "M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6";
    Check "m5 12.5 4.5 4.5L19 7.5";
    Clock "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.5 2";
    Cpu "M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4";
    Cross "M6 6l12 12M18 6 6 18";
    Download "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 20h14";
    External "M14 4h6v6M20 4l-9 9M18 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1h5";
    File "M7 3h7l5 5v13H7zM14 3v5h5M10 13h6M10 17h6";
    Globe "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18";
    Layers "m12 3 9 5-9 5-9-5zM3 12.5l9 5 9-5M3 16.5l9 5 9-5";
    Lecture "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM10 8.5v7l6-3.5z";
    Link "M9.5 14.5l5-5M11 6.5l1.5-1.5a4.2 4.2 0 0 1 6 6L17 12.500M13 17.500l-1.5 1.5a4.2 4.2 0 0 1-6-6L7 11.500";
    List "M9 6h11M9 12h11M9 18h11M4.500 6v.1M4.500 12v.1M4.500 18v.1";
    Moon "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z";
    Pause "M9 5v14M15 5v14";
    Plus "M12 5v14M5 12h14";
    Retry "M4 12a8 8 0 1 1 2.500 5.800M4 20v-5h5";
    Search "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.500 4.500";
    Shield "M12 3l8 3v6c0 4.500-3.500 7.500-8 9-4.500-1.500-8-4.500-8-9V6zM9 12l2.200 2.200L15.500 10";
    SignOut "M10 4H5v16h5M15 8l4 4-4 4M19 12H9";
    Sliders "M4 7h9M17 7h3M13 4.500v5M4 17h3M11 17h9M9 14.500v5";
    Spinner "M12 3a9 9 0 1 0 9 9";
    Trash "M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13M10 11v5.500M14 11v5.500";
    Upload "M12 15V4M7.500 8.500 12 4l4.500 4.500M5 20h14";
}

/// The icon as inline SVG, hidden from screen readers.
pub(super) fn icon(icon: Icon) -> Markup {
    drawn(icon, "icon")
}

/// The icon in rotation, for work in progress.
pub(super) fn spinning() -> Markup {
    drawn(Icon::Spinner, "icon spin")
}

fn drawn(icon: Icon, class: &str) -> Markup {
    html! { svg class=(class) viewBox="0 0 24 24" aria-hidden="true" focusable="false" { path d=(icon.path()) {} } }
}
