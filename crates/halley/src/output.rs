//! Lines on standard output and standard error. A reader that went away is no error.

use std::io::{self, Write as _};

use crate::exit::Failure;

/// Writes one line to standard output at once. `false` when nobody reads it any more.
///
/// # Errors
/// [`Failure::Internal`] when it cannot be written for another reason.
pub(crate) fn line(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Internal(format!(
            "standard output cannot be written: {error}"
        ))),
    }
}

/// Writes one line to standard error, if anybody reads it.
pub(crate) fn error_line(text: &str) {
    let _nobody_reads = writeln!(io::stderr().lock(), "{text}");
}

/// Columns of `rows` under `head`, aligned; without trailing white space.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let format_line = |line: &&Vec<String>| {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(format_line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["n1".into(), "127.0.0.1:8080".into()],
            vec!["e10".into(), "b".into()],
        ];
        let text = table(&["name", "http"], &rows);
        assert_eq!(text, "name  http\nn1    127.0.0.1:8080\ne10   b");
    }
}
