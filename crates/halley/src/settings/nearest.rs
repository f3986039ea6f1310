//! The known word that somebody most likely meant.

/// The candidate with the fewest changed letters from `word`, if it is near enough to be worth naming.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let (distance, best) = candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (word.chars().count() / 2).max(2)).then_some(best)
}

/// Levenshtein's distance: insertions, deletions and replacements of one letter.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_and_a_far_one_is_not() {
        let known = ["listen.http", "listen.grpc", "log.level"];
        assert_eq!(nearest("listen.htpp", known), Some("listen.http"));
        assert_eq!(nearest("log.levle", known), Some("log.level"));
        assert_eq!(nearest("entirely.different.thing", known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
