//! The contracts that all tenants share.
//!
//! Those in the folder `canonical` beside the tenants; where there is none, those that this program brings.

use std::path::Path;

use super::plugin::ConfigFile;
use crate::source::files::Pattern;

macro_rules! brought {
    ($($name:literal)*) => {
        /// The canonical contracts as this version was built with them.
        fn brought() -> Vec<ConfigFile> {
            vec![$(ConfigFile {
                path: concat!("canonical/", $name, ".odcs.yaml").to_owned(),
                text: include_str!(concat!("../../../tenants/canonical/", $name, ".odcs.yaml")).to_owned(),
            }),*]
        }
    };
}

brought! {
    "account" "app" "customer" "delivery" "encounter" "facility" "order" "order_line" "organization" "patient"
    "practitioner" "product" "repository" "team"
}

/// The canonical contracts for the tenants in `tenants`; the error names the file.
pub fn contracts(tenants: &Path) -> Result<Vec<ConfigFile>, String> {
    let pattern = Pattern::parse("canonical/*.odcs.yaml").expect("the pattern is a constant and valid");
    let paths = pattern.list(tenants)?;
    if paths.is_empty() {
        return Ok(brought());
    }
    let read = |path: String| {
        let file = tenants.join(&path);
        let text =
            std::fs::read_to_string(&file).map_err(|error| format!("failed to read `{}`: {error}", file.display()))?;
        Ok(ConfigFile { path, text })
    };
    paths.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_brings_every_canonical_contract_of_the_repository() {
        let tenants = Path::new(concat!(env!("SILVERSMITH_ROOT"), "/tenants"));
        assert_eq!(contracts(tenants).unwrap(), brought());
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(contracts(elsewhere.path()).unwrap(), brought());
    }
}
