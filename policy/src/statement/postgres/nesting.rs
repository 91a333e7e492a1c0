//! How deep a text may nest and how often the server's lexer reads the same bytes, from the text's bytes alone: upper
//! bounds, found before anything recursive or slow touches the text. Understands as much of the lexer as that takes and
//! nothing of the grammar.

/// One open bracket's account.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Tokens since the last separator that may each add a level: operators, NOT, casts.
    chain: usize,
    /// Tokens that no separator forgets: JOIN, UNION and their kin stack up across commas.
    kept: usize,
    /// CASE without its END yet.
    cases: usize,
}

impl Level {
    fn depth(self) -> usize {
        self.chain + self.kept + self.cases
    }
}

/// What a text costs before it is understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// An upper bound on the depth of the tree that it parses to, in steps of a few nodes each.
    pub(super) depth: usize,
    /// Bytes that the server's lexer reads once more: at each operator and each start of a comment it first takes the
    /// whole run of operator characters, comments' own among them, and then gives back what is not part of it.
    pub(super) reread: usize,
}

/// How deep `text` nests, and how much of it is read again and again.
pub(super) fn cost(text: &str) -> Cost {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
        levels: Vec::new(),
        current: Level::default(),
        below: 0,
        deepest: 0,
        after_dot: false,
        run_end: 0,
        reread: 0,
    };
    while scan.step() {}
    Cost { depth: scan.deepest, reread: scan.reread }
}

/// Characters that operators are made of.
const OPERATORS: &[u8] = b"~!@#^&|`?+-*/%<>=";

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    levels: Vec<Level>,
    current: Level,
    /// The sum over all levels below the current one.
    below: usize,
    deepest: usize,
    /// `a.end` is a column, not the END of a CASE.
    after_dot: bool,
    /// Where the run of operator characters ends that was looked at last.
    run_end: usize,
    /// [`Cost::reread`] so far.
    reread: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Reads one token; false at the end.
    fn step(&mut self) -> bool {
        let Some(&byte) = self.bytes.get(self.at) else { return false };
        let comment = matches!((byte, self.peek(1)), (b'-', b'-') | (b'/', b'*'));
        match byte {
            b'\'' => self.quoted(b'\'', false),
            b'"' => self.quoted(b'"', false),
            b'-' if self.peek(1) == b'-' => self.line_comment(),
            b'/' if self.peek(1) == b'*' => self.block_comment(),
            b'$' => self.dollar(),
            b'(' | b'[' => self.open(),
            b')' | b']' => self.close(),
            b',' => self.separator(),
            b';' => {
                self.separator();
                self.current = Level::default();
            }
            b'.' => {
                self.after_dot = true;
                self.at += 1;
                return true;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word(),
            b'0'..=b'9' => self.number(),
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                self.at += 1;
                return true;
            }
            _ => self.symbol(),
        }
        self.after_dot &= comment;
        true
    }

    /// The lexer looks at the run of operator characters that begins here.
    fn look_ahead(&mut self) {
        if self.run_end <= self.at {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let run = rest.iter().take_while(|byte| OPERATORS.contains(byte)).count();
            self.run_end = self.at + run;
        }
        self.reread += self.run_end - self.at;
    }

    fn chain(&mut self) {
        self.current.chain += 1;
        self.note();
    }

    fn note(&mut self) {
        self.deepest = self.deepest.max(self.below + self.current.depth());
    }

    fn separator(&mut self) {
        self.current.chain = 0;
        self.at += 1;
    }

    fn open(&mut self) {
        self.below += self.current.depth() + 1;
        self.levels.push(self.current);
        self.current = Level::default();
        self.note();
        self.at += 1;
    }

    fn close(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.current = level;
            self.below = self.below.saturating_sub(level.depth() + 1);
        }
        self.at += 1;
        // `(a)(b)` or `[1][2]` without an operator between them is a chain as well.
        self.chain();
    }

    /// An operator, or `::`. The lexer splits runs of `+` and `-` into one token each, other runs are one.
    fn symbol(&mut self) {
        let first = self.peek(0);
        self.look_ahead();
        self.at += 1;
        if first == b':' {
            self.at += usize::from(self.peek(0) == b':');
        } else if !matches!(first, b'+' | b'-') {
            while matches!(
                self.peek(0),
                b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'?' | b'*' | b'/' | b'%' | b'<' | b'>' | b'='
            ) && !(self.peek(0) == b'/' && self.peek(1) == b'*')
            {
                self.at += 1;
            }
        }
        self.chain();
    }

    fn number(&mut self) {
        while matches!(self.peek(0), b'0'..=b'9' | b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z') {
            self.at += 1;
        }
    }

    fn word(&mut self) {
        let from = self.at;
        while matches!(self.peek(0), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..) {
            self.at += 1;
        }
        let word = self.bytes.get(from..self.at).unwrap_or_default();
        if self.peek(0) == b'\'' && word.eq_ignore_ascii_case(b"e") {
            self.quoted(b'\'', true);
            return;
        }
        let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
        if is(b"and") || is(b"or") {
            // Lists of AND and OR are flat in the tree.
            self.current.chain = 1;
        } else if [&b"join"[..], b"union", b"intersect", b"except", b"select"].iter().any(|w| is(w)) {
            self.current.kept += 1;
        } else if is(b"case") {
            self.current.cases += 1;
        } else if is(b"end") && !self.after_dot {
            self.current.cases = self.current.cases.saturating_sub(1);
        } else if is_operator_word(word) {
            self.current.chain += 1;
        }
        self.note();
    }

    /// A string or quoted name; a doubled quote reads as two of them, which is the same to us. `escapes`: backslash
    /// hides the next byte, also in the parts that continue an E'' string on the next line.
    fn quoted(&mut self, quote: u8, escapes: bool) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            if escapes && byte == b'\\' {
                self.at += 1;
            } else if byte == quote {
                if escapes && self.peek(0) != quote {
                    let end = self.at;
                    self.skip_blank();
                    let continues = self.peek(0) == quote
                        && self.bytes.get(end..self.at).is_some_and(|b| b.contains(&b'\n') || b.contains(&b'\r'));
                    if !continues {
                        self.at = end;
                        return;
                    }
                    self.at += 1;
                } else if escapes {
                    self.at += 1;
                } else {
                    return;
                }
            }
        }
    }

    fn skip_blank(&mut self) {
        loop {
            match self.peek(0) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == b'-' => self.line_comment(),
                _ => return,
            }
        }
    }

    fn line_comment(&mut self) {
        while self.at < self.bytes.len() && !matches!(self.peek(0), b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut open = 0usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    self.look_ahead();
                    open += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    open -= 1;
                    self.at += 2;
                    if open == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// `$1`, `$$…$$` or `$tag$…$tag$`.
    fn dollar(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let tag = rest.iter().skip(1).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_' || **b >= 0x80).count();
        let starts_with_digit = rest.get(1).is_some_and(u8::is_ascii_digit);
        let delimiter = rest.get(..tag + 2).filter(|d| d.ends_with(b"$") && !starts_with_digit);
        let Some(delimiter) = delimiter else {
            self.at += 1;
            return;
        };
        let body = rest.get(delimiter.len()..).unwrap_or_default();
        let end = body.windows(delimiter.len()).position(|window| window == delimiter);
        self.at += end.map_or(rest.len(), |end| end + 2 * delimiter.len());
    }
}

/// Words that take operands without a bracket, so that a run of them nests.
fn is_operator_word(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 16] = [
        b"not", b"is", b"isnull", b"notnull", b"collate", b"at", b"between", b"like", b"ilike", b"similar", b"in",
        b"when", b"else", b"array", b"over", b"escape",
    ];
    WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nesting(text: &str) -> usize {
        cost(text).depth
    }

    #[test]
    fn what_the_lexer_reads_again_grows_with_the_square_of_a_run() {
        let reread = |text: &str| cost(text).reread;
        assert!(reread("SELECT a /* ---- */ <> b -- ********") < 40);
        let banner = format!("/{}\n * SELECT\n {}/", "*".repeat(100), "*".repeat(100));
        assert!(reread(&banner.repeat(1000)) < 200_000);
        for unit in ["/**/", "/*", "@/**/"] {
            let (once, twice) = (reread(&unit.repeat(1000)), reread(&unit.repeat(2000)));
            assert!(once > 1_000_000 && twice > once * 3, "{unit}: {once}, {twice}");
        }
        assert_eq!(reread(&format!("SELECT '{}'", "/*".repeat(1000))), 0);
    }

    #[test]
    fn honest_texts_are_shallow_and_towers_are_not() {
        for (text, most) in [
            ("SELECT 1", 2),
            (
                "INSERT INTO t VALUES (1, '((((((((((((', $$((((((((((((((((($$), (2, E'\\'((((((((((((((('), (3, \"((((((((\")",
                10,
            ),
            ("SELECT a /* (((((((((((((( /* ((((((( */ */ -- ((((((((((((", 2),
        ] {
            assert!(nesting(text) <= most, "{text}: {}", nesting(text));
        }
        let conditions = format!("SELECT * FROM t WHERE {}", vec!["(a = 1 AND b <> -2)"; 5000].join(" OR "));
        assert!(nesting(&conditions) < 20, "{}", nesting(&conditions));
        for (unit, close) in [
            ("(", ")"),
            ("- ", ""),
            ("NOT ", ""),
            ("1 || ", ""),
            ("SELECT 1 UNION ", ""),
            ("ARRAY[", "]"),
            ("a::b.", ""),
            ("CASE WHEN a.end AND a. /**/ end THEN ", ""),
        ] {
            let text = format!("SELECT {}1{}", unit.repeat(1000), close.repeat(1000));
            assert!(nesting(&text) >= 1000, "{unit}: {}", nesting(&text));
        }
    }

    #[test]
    fn what_looks_like_the_end_of_a_string_is_not_believed() {
        let tower = "(".repeat(500);
        for text in [
            format!("SELECT E'a'\n 'b\\'', {tower}1"),
            format!("SELECT E'a\\\\', {tower}1"),
            format!("SELECT 'a\\', {tower}1"),
            format!("SELECT E'a''b\\'', {tower}1"),
            format!("SELECT $1, {tower}1"),
            format!("SELECT a$b$, {tower}1"),
            format!("SELECT U&'a\\', {tower}1"),
        ] {
            assert!(nesting(&text) >= 500, "{text:.30}: {}", nesting(&text));
        }
    }
}
