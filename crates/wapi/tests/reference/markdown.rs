//! Pages with generated parts, between `<!-- generated: name -->` and `<!-- end -->`.

/// Returns the page with its parts made anew. Every part has its place on the page, in this order.
pub fn fill_page(page: &str, parts: &[(&str, String)]) -> String {
    let mut filled = String::new();
    let mut rest = page;
    for (name, text) in parts {
        let begin = format!("<!-- generated: {name} -->\n");
        let (before, after) = rest
            .split_once(&begin)
            .unwrap_or_else(|| panic!("the page has no `{}`, or too early", begin.trim_end()));
        let (_, after) = after
            .split_once("<!-- end -->")
            .unwrap_or_else(|| panic!("`{}` has no `<!-- end -->`", begin.trim_end()));
        filled += &format!("{before}{begin}\n{text}\n<!-- end -->");
        rest = after;
    }
    filled += rest;
    let places = filled.matches("<!-- generated: ").count();
    assert_eq!(places, parts.len(), "the page has a place for no part");
    filled
}

/// Returns a table.
pub fn format_table<const COLUMNS: usize>(
    heading: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
    let mut table = line(&heading.map(str::to_owned)) + &"|---".repeat(COLUMNS) + "|\n";
    for row in rows {
        table += &line(&row.map(|cell| cell.replace('|', "\\|")));
    }
    table
}

/// Returns the sections in which items stand, each once, in the order of the items.
pub fn list_sections<'a>(sections: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut listed = Vec::new();
    for section in sections {
        if !listed.contains(&section) {
            listed.push(section);
        }
    }
    listed
}

/// A heading of a page with the text below it.
pub struct PageSection<'a> {
    pub heading: &'a str,
    pub text: &'a str,
    /// Whether it is the beginning of the page.
    pub is_first: bool,
}

/// Returns the sections of a page; the first one is its beginning.
pub fn list_page_sections(page: &str) -> Vec<PageSection<'_>> {
    let parts = page.split("\n## ").enumerate();
    parts
        .map(|(index, part)| {
            let (heading, text) = part.split_once('\n').unwrap_or((part, ""));
            PageSection {
                heading,
                text,
                is_first: index == 0,
            }
        })
        .collect()
}

impl PageSection<'_> {
    /// Returns the first cells of the rows of the tables with this heading of the first column.
    pub fn first_cells(&self, column: &str) -> Vec<String> {
        let tables = self.text.split("\n\n");
        let ours = tables.filter(|table| table.trim_start().starts_with(&format!("| {column} |")));
        let rows = ours.flat_map(|table| table.trim().lines().skip(2));
        rows.filter_map(|row| row.strip_prefix("| ")?.split(" | ").next())
            .map(str::to_owned)
            .collect()
    }
}

/// Returns the anchor of a heading, as GitHub makes it.
pub fn make_anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
