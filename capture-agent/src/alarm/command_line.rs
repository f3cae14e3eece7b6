//! Program with arguments in one variable, without a shell.

use std::str::FromStr;

/// Program and its first arguments.
///
/// Words are separated by white space. Single or double quotes keep white space, and a quote of the other kind, in a
/// word; they may enclose a part of a word. No other character is special: there are no variables, no escapes and no
/// patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    pub program: String,
    pub arguments: Vec<String>,
}

impl FromStr for CommandLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = Vec::new();
        let mut word = None::<String>;
        let mut quote = None;
        for character in text.chars() {
            match quote {
                Some(end) if character == end => quote = None,
                Some(_) => word.get_or_insert_default().push(character),
                None if matches!(character, '\'' | '"') => {
                    quote = Some(character);
                    word.get_or_insert_default();
                }
                None if character.is_whitespace() => words.extend(word.take()),
                None => word.get_or_insert_default().push(character),
            }
        }
        if let Some(quote) = quote {
            return Err(format!("a quote ({quote}) is not closed"));
        }
        words.extend(word);
        if text.contains('\0') {
            return Err("contains a NUL character".to_owned());
        }
        let mut words = words.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => Ok(Self {
                program,
                arguments: words.collect(),
            }),
            _ => Err("names no program".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        let line: CommandLine = text.parse()?;
        Ok([vec![line.program], line.arguments].concat())
    }

    #[test]
    fn quotes_group_and_nothing_else_is_special() {
        let parsed =
            words("  /usr/bin/notify -t 'two words' \"it's\" a'b c'd '' $HOME;*\\ ").unwrap();
        let expected = [
            "/usr/bin/notify",
            "-t",
            "two words",
            "it's",
            "ab cd",
            "",
            "$HOME;*\\",
        ];
        assert_eq!(parsed, expected);
        for bad in ["", "  ", "''", "a 'b", "\"", "a\0"] {
            assert!(words(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_are_parsed_back(argv in prop::collection::vec("[^'\0]{1,8}", 1..6)) {
            let quoted: Vec<String> = argv.iter().map(|word| format!("'{word}'")).collect();
            prop_assert_eq!(words(&quoted.join(" ")), Ok(argv));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = words(&text);
        }
    }
}
