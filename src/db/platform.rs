//! Which product stands behind a client's name.

/// What a name begins a word with, and the product it tells of.
///
/// Letters in lower case, words separated by one space.
const PRODUCTS: &[(&str, &str)] = &[
    ("claude", "claude"),
    ("chatgpt", "chatgpt"),
    ("openai", "chatgpt"),
    ("vscode", "vscode"),
    ("visual studio code", "vscode"),
    ("copilot", "vscode"),
    ("cursor", "cursor"),
    ("windsurf", "windsurf"),
    ("gemini", "gemini"),
    ("codex", "codex"),
    ("zed", "zed"),
    ("inspector", "inspector"),
];

/// What the bridge `mcp-remote` appends to the name of the client behind it.
const BRIDGE: &str = " (via mcp-remote";

/// The product whose name comes first in `client_name`, else `unknown`.
///
/// First, because some clients append what they are part of
/// (`cursor-vscode`) or the server they talk to (`gemini-cli-mcp-client-...`).
pub(super) fn platform(client_name: Option<&str>) -> &'static str {
    let name = client_name.unwrap_or_default().to_lowercase();
    let name = name.split(BRIDGE).next().unwrap_or_default();
    // A space before and between all words makes "begins a word" a plain search.
    let mut words = String::with_capacity(name.len() + 1);
    for word in name.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            words.push(' ');
            words.push_str(word);
        }
    }
    PRODUCTS
        .iter()
        .filter_map(|(needle, product)| Some((words.find(&format!(" {needle}"))?, product)))
        .min_by_key(|(at, _)| *at)
        .map_or("unknown", |(_, product)| product)
}

#[cfg(test)]
mod tests {
    use super::platform;

    #[test]
    fn names_seen_in_the_wild_are_told_apart() {
        for (name, product) in [
            ("claude-ai", "claude"),
            ("Anthropic/ClaudeAI", "claude"),
            ("claude-code", "claude"),
            ("cursor-vscode", "cursor"),
            ("Visual Studio Code", "vscode"),
            ("Visual-Studio-Code - Insiders", "vscode"),
            ("github-copilot-developer", "vscode"),
            ("JetBrains-IU-copilot-intellij", "vscode"),
            ("openai-mcp", "chatgpt"),
            ("ChatGPT", "chatgpt"),
            ("codex-mcp-client", "codex"),
            ("gemini-cli-mcp-client-claude-docs", "gemini"),
            ("windsurf-client", "windsurf"),
            ("Zed", "zed"),
            ("mcp-inspector", "inspector"),
            ("inspector-cli", "inspector"),
        ] {
            assert_eq!(platform(Some(name)), product, "{name}");
        }
    }

    #[test]
    fn the_bridge_in_the_name_is_not_the_client() {
        assert_eq!(platform(Some("Zed (via mcp-remote 0.1.37)")), "zed");
        assert_eq!(platform(Some("x (via mcp-remote claude)")), "unknown");
    }

    #[test]
    fn other_names_and_no_name_are_unknown() {
        for name in [
            None,
            Some(""),
            Some("goose"),
            Some("customized-client"),
            Some("ß (VIA"),
        ] {
            assert_eq!(platform(name), "unknown", "{name:?}");
        }
    }
}
