//! A browser's name for itself, in words that a person knows. A guess for people to recognise their own devices by;
//! nothing is decided by it.

use crate::server::language::Session;

/// Longest text that is shown of what is not recognised.
const MOST_CHARS: usize = 40;

/// Browsers by what only they, or only they and those further up, write.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems; those that name another one beside themselves come first.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// A few words for it.
pub(crate) fn describe(user_agent: &str, words: &'static Session) -> String {
    let known = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(&BROWSERS), known(&SYSTEMS)) {
        (Some(browser), Some(system)) => {
            words.browser_on_system.fill(&[("browser", browser), ("system", system)]).to_string()
        }
        (Some(name), None) => name.to_owned(),
        (None, _) => {
            let product = user_agent.split_whitespace().next().unwrap_or_default();
            let shown: String = product.chars().filter(|one| !one.is_control()).take(MOST_CHARS).collect();
            if shown.is_empty() { words.unknown_device.to_string() } else { shown }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::language::Reader;

    fn describe(user_agent: &str) -> String {
        super::describe(user_agent, &Reader::Nobody.language().words.session)
    }

    #[test]
    fn well_known_browsers_are_named_by_their_names() {
        let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, name) in [
            (format!("{mac} Chrome/130.0.0.0 Safari/537.36"), "Chrome on macOS"),
            (format!("{mac} Chrome/130.0.0.0 Safari/537.36 Edg/130.0"), "Edge on macOS"),
            (format!("{mac} Version/18.0 Safari/605.1.15"), "Safari on macOS"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0".into(), "Firefox on Linux"),
            (
                "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Mobile Safari/537"
                    .into(),
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) CriOS/130 Mobile/15E148 Safari/604.1".into(),
                "Chrome on iPhone",
            ),
        ] {
            assert_eq!(describe(&agent), name);
        }
    }

    #[test]
    fn anything_else_is_shown_by_its_beginning() {
        assert_eq!(describe("curl/8.5.0"), "curl/8.5.0");
        assert_eq!(describe(&"x".repeat(600)).len(), MOST_CHARS);
        assert_eq!(describe(" \u{1} "), "Unknown device");
        assert_eq!(describe("<b>robot</b> 2"), "<b>robot</b>");
    }
}
