//! `/etc/passwd`, `/etc/group` and home directories in step with the user.

use immut_core::Options;
use immut_core::rewrite::LayerOutcome;
use immut_testkit::contents;
use immut_testkit::model::Item;
use immut_testkit::recipe::{LayerRecipe, Recipe};

use crate::common::{Done, Scene};

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/bash\nweb:x:9:9::/srv:/bin/bash\nlp:x:7:7::/:/bin/false\n";
const GROUP: &str = "root:x:0:\nweb:x:9:\n";
const NONROOT: &str = "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";

fn with_bash(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/bin/bash", 0o755, contents::bash()).file("/app", 0o755, contents::program())
}

fn with_accounts(layer: LayerRecipe) -> LayerRecipe {
    layer
        .dir("/etc", 0o755)
        .file("/etc/passwd", 0o644, PASSWD)
        .owned(0, 42)
        .file("/etc/group", 0o640, GROUP)
        .owned(0, 0)
        .dir("/home", 0o711)
}

fn harden(recipe: &Recipe) -> Done {
    let done = Scene::of(&recipe.clone().entrypoint(&["/app"])).harden(&Options::default());
    assert!(!done.again(&Options::default()).is_changed(), "twice is not once");
    done
}

fn expected_passwd() -> String {
    PASSWD.replace("/bin/bash", "/sbin/nologin") + NONROOT
}

#[test]
fn accounts_are_edited_in_the_layer_that_is_written_anew_anyway() {
    let done = harden(&Recipe::new().layer(|l| with_bash(with_accounts(l))));
    assert_eq!(done.tars().len(), 1);
    assert_eq!(done.text("etc/passwd"), expected_passwd());
    assert_eq!(done.text("etc/group"), format!("{GROUP}nonroot:x:65532:\n"));
    let view = done.view();
    assert_eq!((view["etc/group"].mode, view["etc/group"].owner), (0o640, (0, 42)));
    let home = &view["home/nonroot"];
    assert_eq!((&home.item, home.mode, home.owner), (&Item::Directory, 0o700, (65532, 65532)));
    assert_eq!(view["home"].mode, 0o711, "what is there stays as it is");
}

#[test]
fn accounts_are_edited_on_top_of_layers_that_stay() {
    let done = harden(
        &Recipe::new().layer(with_accounts).layer(with_bash).layer(|l| l.file("/x", 0o644, "x")),
    );
    let outcomes = &done.hardened.platforms[0].rewritten.layers;
    assert_eq!(outcomes[0], LayerOutcome::Untouched);
    assert_eq!(outcomes[2], LayerOutcome::Untouched);
    assert_eq!(done.tars().len(), 4, "and one on top");
    assert_eq!(done.text("etc/passwd"), expected_passwd());
    let view = done.view();
    assert_eq!((view["etc/group"].mode, view["etc/group"].owner), (0o640, (0, 42)));
    assert_eq!((view["home"].mode, view["etc"].mode), (0o711, 0o755), "parents as they were");
    assert_eq!(view["home/nonroot"].owner, (65532, 65532));
}

#[test]
fn an_image_without_passwd_gets_none() {
    let done = harden(&Recipe::new().layer(with_bash));
    assert_eq!(done.paths(), ["app"]);
    assert_eq!(done.config()["config"]["User"], "65532:65532");
}

#[test]
fn a_taken_name_gets_the_number() {
    let taken = format!("{PASSWD}nonroot:x:5:5::/x:/bin/false\n");
    let done = harden(&Recipe::new().layer(with_bash).layer(|l| {
        l.file("/etc/passwd", 0o644, taken).file("/etc/group", 0o644, "nonroot:x:5:\n")
    }));
    assert!(
        done.text("etc/passwd")
            .ends_with("\nnonroot-65532:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
    );
    assert!(done.text("etc/group").ends_with("\nnonroot-65532:x:65532:\n"));
}

#[test]
fn an_account_that_is_there_is_used() {
    let there = format!("{PASSWD}me:x:65532:100::/var/me:/bin/false\n");
    let done = harden(&Recipe::new().layer(with_bash).layer(|l| {
        l.file("/etc/passwd", 0o644, &there)
            .file("/etc/group", 0o644, "users:x:65532:\n")
            .dir("/var", 0o755)
    }));
    assert_eq!(done.text("etc/passwd"), there.replace("/bin/bash", "/sbin/nologin"));
    assert_eq!(done.text("etc/group"), "users:x:65532:\n");
    assert_eq!(done.view()["var/me"].owner, (65532, 65532));
}

#[test]
fn login_shells_that_go_become_nologin_for_other_users_too() {
    let done = harden(&Recipe::new().layer(with_accounts).layer(with_bash).user("9"));
    assert_eq!(done.text("etc/passwd"), PASSWD.replace("/bin/bash", "/sbin/nologin"));
    assert_eq!(done.text("etc/group"), GROUP);
    assert_eq!(done.config()["config"]["User"], "9", "a number stays as it is written");
    assert!(!done.paths().contains(&"home/nonroot".to_owned()));
}

#[test]
fn shells_that_stay_keep_their_accounts_and_files_their_bytes() {
    let odd = "root:x:0:0:root:/root:/bin/zsh\r\nweb:x:9:9::/:/usr/bin/git-shell";
    let done =
        harden(&Recipe::new().layer(|l| with_bash(l).file("/etc/passwd", 0o644, odd)).user("9"));
    assert_eq!(done.text("etc/passwd"), odd);
}

#[test]
fn names_become_numbers() {
    for (written, expected) in [
        ("web", "9"),
        ("web:root", "9:0"),
        ("9:web", "9:9"),
        ("root", "65532:65532"),
        ("0:9", "65532:65532"),
        ("1000:0", "1000:0"),
    ] {
        let done = harden(
            &Recipe::new()
                .layer(with_accounts)
                .layer(|l| l.file("/app", 0o755, contents::program()))
                .user(written),
        );
        assert_eq!(done.config()["config"]["User"], expected, "{written}");
    }
}

#[test]
fn a_home_directory_is_made_behind_links() {
    let done = harden(&Recipe::new().layer(with_bash).layer(|l| {
        l.file("/etc/passwd", 0o644, PASSWD)
            .dir("/var", 0o755)
            .dir("/var/home", 0o755)
            .symlink("/home", "var/home")
    }));
    let view = done.view();
    assert_eq!(view["home"].item, Item::Symlink("var/home".into()));
    assert_eq!(view["var/home/nonroot"].owner, (65532, 65532));
}

#[test]
fn a_hardlinked_passwd_is_edited_for_its_own_name() {
    let done = harden(
        &Recipe::new()
            .layer(|l| with_bash(with_accounts(l)).hardlink("/srv/backup", "/etc/passwd")),
    );
    assert_eq!(done.text("etc/passwd"), expected_passwd());
    assert_eq!(done.text("srv/backup"), PASSWD);
}

#[test]
fn a_passwd_of_several_layers_is_the_last() {
    let done = harden(
        &Recipe::new()
            .layer(|l| with_bash(with_accounts(l)))
            .layer(|l| l.file("/etc/passwd", 0o644, "only:x:1:1::/:/bin/bash\n")),
    );
    assert_eq!(done.text("etc/passwd"), format!("only:x:1:1::/:/sbin/nologin\n{NONROOT}"));
}
