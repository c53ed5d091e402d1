//! What the program prints, example by example: `tests/cmd/*.toml`. `TRYCMD=overwrite` renews them.

#[test]
fn the_program_prints_what_the_examples_show() {
    trycmd::TestCases::new()
        .env("CLICOLOR_FORCE", "0")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .case("tests/cmd/*.toml");
}
