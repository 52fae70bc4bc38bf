//! The product behind a client's name.

/// The text with which words of a name begin, and the product.
///
/// The text is in lower case, with one space between words.
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

/// The text that the bridge `mcp-remote` appends to the name of the client behind
/// it.
const BRIDGE: &str = " (via mcp-remote";

/// Returns the product whose name comes first in `client_name`, or `unknown`.
///
/// The first one counts, because some clients append the product that they are part
/// of (`cursor-vscode`) or the server (`gemini-cli-mcp-client-...`).
pub(super) fn platform(client_name: Option<&str>) -> &'static str {
    let name = client_name.unwrap_or_default().to_lowercase();
    let name = name.split(BRIDGE).next().unwrap_or_default();
    // With a space before each word, a search finds only beginnings of words.
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
    fn names_of_real_clients_are_distinguished() {
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
    fn bridge_in_the_name_is_not_the_client() {
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
