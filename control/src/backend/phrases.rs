//! Tables of phrases that give the error texts of a platform a meaning, for errors without a code.
//!
//! Platforms document few of their error texts, and change them. So the phrases are short, case
//! does not matter, and a phrase matches whole words only: `ENI` is not found in `DENIED`. The
//! first rule that matches counts, so put a specific rule before a general one.

/// The meaning of a text that contains any of these phrases.
#[derive(Debug)]
pub(crate) struct PhraseRule<T: 'static> {
    pub(crate) phrases: &'static [&'static str],
    pub(crate) meaning: T,
}

/// The meaning of a text by the first rule that matches, if one does.
pub(crate) fn first_match<T>(rules: &'static [PhraseRule<T>], text: &str) -> Option<&'static T> {
    let rule = rules.iter().find(|rule| contains_any(text, rule.phrases))?;
    Some(&rule.meaning)
}

/// Whether a text contains any of these phrases as whole words.
pub(crate) fn contains_any(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_lowercase();
    phrases.iter().any(|phrase| contains_phrase(&text, &phrase.to_lowercase()))
}

/// Both texts are in lower case. Where the phrase begins or ends with a letter or a digit, a word
/// must begin or end there as well.
fn contains_phrase(text: &str, phrase: &str) -> bool {
    let is_of_a_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let begins = is_of_a_word(phrase.chars().next());
    let ends = is_of_a_word(phrase.chars().next_back());
    text.match_indices(phrase).any(|(at, found)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|after| after.chars().next());
        let goes_on = (begins && is_of_a_word(before)) || (ends && is_of_a_word(after));
        !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_matches_whole_words_in_any_case() {
        for text in ["ENI", "an ENI was", "attach eni.", "(ENI)", "RESOURCE:ENI", "ENI/x"] {
            assert!(contains_any(text, &["ENI"]), "{text}");
        }
        for text in ["", "DENIED", "ENIs", "GENIE", "EN I"] {
            assert!(!contains_any(text, &["ENI"]), "{text}");
        }
        assert!(contains_any("RESOURCE:CPU", &["RESOURCE:"]), "a phrase may end with a colon");
        assert!(contains_any("DENIED; ENI", &["ENI"]), "every occurrence is checked");
        assert!(contains_any("Größe ÄNI", &["äni"]) && !contains_any("xäni", &["äni"]));
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        static RULES: &[PhraseRule<u8>] = &[
            PhraseRule { phrases: &["a b", "c"], meaning: 1 },
            PhraseRule { phrases: &["b"], meaning: 2 },
        ];
        assert_eq!(first_match(RULES, "x a b"), Some(&1));
        assert_eq!(first_match(RULES, "b c"), Some(&1));
        assert_eq!(first_match(RULES, "b"), Some(&2));
        assert_eq!(first_match(RULES, "d"), None);
    }
}
