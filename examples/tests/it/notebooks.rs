//! The notebooks: each cell shows what it answered, and answers again where Jupyter is.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks")
}

#[test]
fn every_cell_of_the_notebooks_shows_what_it_answered_and_no_machine() {
    for (name, pictures) in [("social_analysis", 7), ("conversion_model", 3)] {
        let text = fs::read_to_string(folder().join(format!("{name}.ipynb"))).unwrap();
        let notebook: Value = serde_json::from_str(&text).unwrap();
        let code: Vec<&Value> =
            notebook["cells"].as_array().unwrap().iter().filter(|cell| cell["cell_type"] == "code").collect();
        // The first cell only names things.
        assert!(code[1..].iter().all(|cell| !cell["outputs"].as_array().unwrap().is_empty()), "{name}");
        let errors = code.iter().flat_map(|cell| cell["outputs"].as_array().unwrap());
        assert!(errors.clone().all(|output| output["output_type"] != "error"), "{name}");
        let drawn = errors.filter(|output| output["data"].get("image/svg+xml").is_some()).count();
        assert!(drawn >= pictures, "{name}: {drawn} pictures");
        for place in ["/home/", "/root/", "/tmp/", "/Users/", "/var/"] {
            assert!(!text.contains(place), "{name} names {place}");
        }
    }
}

/// `MKT_TEST_JUPYTER` names a Python that has nbformat, nbclient and ipykernel.
#[test]
fn the_notebooks_run_where_jupyter_is() {
    let Some(python) = std::env::var_os("MKT_TEST_JUPYTER") else {
        println!("skipped: MKT_TEST_JUPYTER is not set");
        return;
    };
    let output = Command::new(python).arg(folder().join("build.py")).arg("--check").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.matches("cells ran").count(), 2, "{told}");
}
