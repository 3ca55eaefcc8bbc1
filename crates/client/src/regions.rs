//! AWS's regions. AWS makes new ones, so one that is not here may be right all the same.

/// Name, partition and place, a line each.
const LIST: &str = include_str!("regions.txt");

/// A region of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Such as `eu-central-1`.
    pub name: &'static str,
    /// Such as `Europe (Frankfurt)`.
    pub place: &'static str,
}

/// All of them that are known.
pub fn all() -> impl Iterator<Item = Region> {
    LIST.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let (name, _partition, place) = (words.next()?, words.next()?, words.next()?);
        Some(Region { name, place })
    })
}

/// Whether it is known.
pub fn is_known(name: &str) -> bool {
    all().any(|region| region.name == name)
}

/// The known one that is meant, where a letter or two are wrong.
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    all()
        .map(|region| (strsim::osa_distance(region.name, &name), region.name))
        .filter(|(distance, _)| *distance <= 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_by_name_and_by_what_is_nearly_one() {
        assert!(all().count() > 40);
        assert!(is_known("eu-central-1") && is_known("cn-north-1") && !is_known("eu-central-9"));
        assert!(all().all(|region| !region.place.is_empty()));
        assert_eq!(nearest("eu-cental-1"), Some("eu-central-1"));
        assert_eq!(nearest("EU-WEST-1"), Some("eu-west-1"));
        assert_eq!(nearest("mars-north-1"), None);
    }
}
