//! Which words of AWS's tell what has happened, where no code does.
//!
//! AWS documents few of its sentences, and changes them. So what is looked for is short, its case does
//! not matter, and it must stand by itself: `ENI` is not found in `DENIED`. A table is a list of
//! rows, and the first row that fits counts: put the special before the general.

/// A row of a table: what it means where a text has any of these phrases.
#[derive(Debug)]
pub(crate) struct Row<T: 'static> {
    pub(crate) phrases: &'static [&'static str],
    pub(crate) means: T,
}

/// What a text means by the first row that fits, if one does.
pub(crate) fn meaning<T>(rows: &'static [Row<T>], text: &str) -> Option<&'static T> {
    let row = rows.iter().find(|row| says_any(text, row.phrases))?;
    Some(&row.means)
}

/// Whether a text has any of these phrases.
pub(crate) fn says_any(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_lowercase();
    phrases.iter().any(|phrase| says(&text, &phrase.to_lowercase()))
}

/// Both in lower case. Where the phrase begins or ends with a letter or a digit, the word must, too.
fn says(text: &str, phrase: &str) -> bool {
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

/// That a service which AWS asks in turn has throttled it: EC2 behind ECS says so inside an
/// `InvalidParameterException` (dagster, issue 33439; dask-cloudprovider, issue 56), and Fargate in a
/// task's stopped reason.
pub(crate) const THROTTLED: &[&str] = &[
    "rate exceeded",
    "rate limit exceeded",
    "request limit exceeded",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_stands_by_itself_and_in_any_case() {
        for text in ["ENI", "an ENI was", "attach eni.", "(ENI)", "RESOURCE:ENI", "ENI/x"] {
            assert!(says_any(text, &["ENI"]), "{text}");
        }
        for text in ["", "DENIED", "ENIs", "GENIE", "EN I"] {
            assert!(!says_any(text, &["ENI"]), "{text}");
        }
        assert!(says_any("RESOURCE:CPU", &["RESOURCE:"]), "a colon ends a phrase by itself");
        assert!(says_any("DENIED; ENI", &["ENI"]), "the second one counts");
        assert!(says_any("Größe ÄNI", &["äni"]) && !says_any("xäni", &["äni"]));
    }

    #[test]
    fn the_first_row_that_fits_counts() {
        static ROWS: &[Row<u8>] =
            &[Row { phrases: &["a b", "c"], means: 1 }, Row { phrases: &["b"], means: 2 }];
        assert_eq!(meaning(ROWS, "x a b"), Some(&1));
        assert_eq!(meaning(ROWS, "b c"), Some(&1));
        assert_eq!(meaning(ROWS, "b"), Some(&2));
        assert_eq!(meaning(ROWS, "d"), None);
    }

    #[test]
    fn what_ec2_says_of_its_throttling_is_known() {
        for text in [
            "Rate exceeded (ErrorCode: Throttling)",
            "Request limit exceeded. (ErrorCode: RequestLimitExceeded)",
            "Rate limit exceeded while preparing network interface to be attached to instance",
        ] {
            assert!(says_any(text, THROTTLED), "{text}");
        }
        assert!(!says_any("Provisioning capacity limit exceeded", THROTTLED));
    }
}
