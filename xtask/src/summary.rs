//! Reads the results of the test runners from what they print.

use std::ops::AddAssign;

/// Tests of one or more runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    /// Ignored, skipped and merely announced tests: nothing was shown, so they count as failures in the end.
    pub skipped: u64,
}

impl Tally {
    pub const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };

    /// What the last line calls failed.
    pub fn all_failed(self) -> u64 {
        self.failed + self.skipped
    }

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Sums the `test result:` lines of libtest and of the wasm-bindgen test runner, one for each test binary.
///
/// The runner leaves out a binary that was not told to run in a browser, and says so in a sentence that ends in
/// `so skipping`; that counts as one skipped test.
pub fn libtest(lines: &[String]) -> Tally {
    let mut tally = Tally::default();
    for line in lines {
        let line = line.trim();
        if let Some(counts) = line.strip_prefix("test result:") {
            tally += count(counts);
        } else if line.contains("so skipping") {
            tally.skipped += 1;
        }
    }
    tally
}

/// Sums the `Tests  …` lines of vitest.
pub fn vitest(lines: &[String]) -> Tally {
    let mut tally = Tally::default();
    for line in lines {
        if let Some(counts) = line.trim().strip_prefix("Tests ") {
            tally += count(counts);
        }
    }
    tally
}

/// Adds up the pairs of a number and what it counts, such as `3 passed; 1 failed` or `1 failed | 3 passed (4)`.
fn count(counts: &str) -> Tally {
    let mut tally = Tally::default();
    let words: Vec<&str> = counts.split_whitespace().map(|word| word.trim_matches([';', ',', '.', '|'])).collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else { continue };
        match pair[1] {
            "passed" => tally.passed += number,
            "failed" => tally.failed += number,
            "ignored" | "skipped" | "todo" => tally.skipped += number,
            _ => {}
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(String::from).collect()
    }

    #[test]
    fn libtest_sums_all_binaries_and_counts_ignored_as_skipped() {
        let text = "running 3 tests\ntest a ... ok\n\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1.23s\n\
            test result: FAILED. 1 passed; 2 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let tally = libtest(&lines(text));
        assert_eq!(tally, Tally { passed: 4, failed: 2, skipped: 4 });
        assert_eq!(tally.all_failed(), 6);
    }

    #[test]
    fn libtest_counts_a_binary_that_the_browser_never_saw() {
        let text = "no tests to run!\nThis test suite is only configured to run in node.js, but we're only running\n\
            browser tests so skipping. If you'd like to run the tests in a browser\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 filtered out; finished in 0.01s";
        assert_eq!(libtest(&lines(text)), Tally { passed: 2, failed: 0, skipped: 1 });
    }

    #[test]
    fn vitest_reads_tests_and_not_files() {
        let text = " Test Files  1 failed | 3 passed (4)\n      Tests  2 failed | 10 passed | 1 skipped | 1 todo (14)\n\
            \n   Start at  08:00:00\n   Duration  1.50s";
        assert_eq!(vitest(&lines(text)), Tally { passed: 10, failed: 2, skipped: 2 });
    }

    #[test]
    fn nothing_run_is_an_empty_tally() {
        assert!(vitest(&lines("      Tests  no tests")).is_empty());
        assert!(libtest(&lines("no tests to run!")).is_empty());
        assert!(libtest(&lines("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured")).is_empty());
    }
}
