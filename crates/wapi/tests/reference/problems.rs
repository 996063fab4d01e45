//! The problems: the tables of `docs/reference/errors.md`.

use wapi::{FAILED_SEND_TYPES, PROBLEM_TYPES, ProblemType};

use super::check_generated_file;
use super::markdown::{fill_page, format_table, list_sections};

#[test]
fn the_page_of_errors_is_up_to_date() {
    check_generated_file("docs/reference/errors.md", |page| {
        let sections = list_sections(PROBLEM_TYPES.iter().map(|problem| problem.section));
        let parts: Vec<_> = sections
            .into_iter()
            .map(|section| (section, format_problems(section)))
            .collect();
        fill_page(page, &parts)
    });
}

fn format_problems(section: &str) -> String {
    let problems = PROBLEM_TYPES
        .iter()
        .chain(&FAILED_SEND_TYPES)
        .filter(|problem| problem.section == section);
    let row = |problem: &ProblemType| {
        [
            format!("`{}`", problem.code),
            problem.status.to_string(),
            problem.title.to_owned(),
            problem.meaning.to_owned(),
        ]
    };
    format_table(
        ["`code`", "Status", "`title`", "Meaning"],
        problems.map(row),
    )
}
