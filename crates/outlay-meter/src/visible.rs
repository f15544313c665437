//! Which accelerators a command may use.

use crate::GpuReading;

/// The accelerators that a command may use, from `CUDA_VISIBLE_DEVICES` and its kin.
///
/// Numbers are taken as NVML's, by PCI address.
/// CUDA's own default puts the fastest first (`CUDA_DEVICE_ORDER=FASTEST_FIRST`); the two differ only where a machine mixes models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Visible {
    /// No variable is set.
    #[default]
    All,
    /// These alone, in this order; none when empty.
    Only(Vec<Device>),
}

/// An accelerator as such a variable names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// By number.
    Index(u32),
    /// By the start of an id, such as `GPU-8f2a` or `MIG-…`.
    Id(String),
}

/// How an entry meets an accelerator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    No,
    /// It names a whole accelerator, and this is a slice of that one.
    Within,
    Itself,
}

impl Visible {
    /// Reads a variable's value, with `None` for one that is not set.
    ///
    /// An entry that is neither a number nor an id ends the list, as CUDA has it: `0,-1,1` is `0`.
    /// So an empty value, `-1` and `NoDevFiles` all mean none.
    ///
    /// ```
    /// use outlay_meter::{Device, Visible};
    /// assert_eq!(Visible::parse(None), Visible::All);
    /// assert_eq!(Visible::parse(Some("2,-1,0")), Visible::Only(vec![Device::Index(2)]));
    /// ```
    pub fn parse(text: Option<&str>) -> Self {
        let Some(text) = text else {
            return Self::All;
        };
        Self::Only(text.split(',').map_while(Device::parse).collect())
    }

    /// Whether an accelerator, or a slice of a named one, is among them.
    pub fn shows(&self, reading: &GpuReading) -> bool {
        match self {
            Self::All => true,
            Self::Only(devices) => devices
                .iter()
                .any(|device| device.meets(reading) != Match::No),
        }
    }

    /// Whether an accelerator was named itself, so that whoever named it claims it.
    ///
    /// A slice counts as named only by its own id: who names a whole accelerator that is in slices gets one of them, and nothing says which.
    pub fn names(&self, reading: &GpuReading) -> bool {
        match self {
            Self::All => false,
            Self::Only(devices) => devices
                .iter()
                .any(|device| device.meets(reading) == Match::Itself),
        }
    }

    /// The list up to the first entry that is none of these accelerators, or more than one of them.
    ///
    /// That is CUDA's rule, which needs to know what there is.
    #[must_use]
    pub fn among(&self, present: &[GpuReading]) -> Self {
        match self {
            Self::All => Self::All,
            Self::Only(devices) => Self::Only(
                devices
                    .iter()
                    .take_while(|device| device.is_one_of(present))
                    .cloned()
                    .collect(),
            ),
        }
    }
}

impl Device {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry.starts_with("GPU-") || entry.starts_with("MIG-") {
            return Some(Self::Id(entry.to_owned()));
        }
        // `parse` alone would take a plus sign.
        let is_number = entry.starts_with(|first: char| first.is_ascii_digit());
        entry.parse().ok().filter(|_| is_number).map(Self::Index)
    }

    fn meets(&self, reading: &GpuReading) -> Match {
        let parent = reading.parent.as_deref();
        match self {
            Self::Index(index) if *index != reading.index => Match::No,
            Self::Index(_) if parent.is_some() => Match::Within,
            Self::Index(_) => Match::Itself,
            Self::Id(start) if reading.id.starts_with(start) => Match::Itself,
            Self::Id(start) if parent.is_some_and(|parent| parent.starts_with(whole(start))) => {
                Match::Within
            }
            Self::Id(_) => Match::No,
        }
    }

    fn is_one_of(&self, present: &[GpuReading]) -> bool {
        let n_itself = present
            .iter()
            .filter(|reading| self.meets(reading) == Match::Itself)
            .count();
        n_itself == 1
            || n_itself == 0
                && present
                    .iter()
                    .any(|reading| self.meets(reading) == Match::Within)
    }
}

/// The whole accelerator in an id of the form before driver 470, `MIG-GPU-<uuid>/<GPU instance>/<compute instance>`.
///
/// Later drivers give each slice a UUID, so there the two numbers lead nowhere, but the accelerator is still known.
fn whole(id: &str) -> &str {
    id.strip_prefix("MIG-")
        .filter(|rest| rest.starts_with("GPU-"))
        .and_then(|rest| rest.split('/').next())
        .unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gpu(index: u32, id: &str) -> GpuReading {
        GpuReading {
            index,
            id: id.to_owned(),
            ..GpuReading::default()
        }
    }

    fn slice(index: u32, id: &str, parent: &str) -> GpuReading {
        GpuReading {
            parent: Some(parent.to_owned()),
            ..gpu(index, id)
        }
    }

    fn only(devices: &[Device]) -> Visible {
        Visible::Only(devices.to_vec())
    }

    #[test]
    fn an_entry_that_cannot_be_read_ends_the_list() {
        let (zero, two) = (Device::Index(0), Device::Index(2));
        for (text, expected) in [
            ("", vec![]),
            ("-1", vec![]),
            ("NoDevFiles", vec![]),
            ("0", vec![zero.clone()]),
            ("2,0", vec![two.clone(), zero.clone()]),
            (" 0 , 2 ", vec![zero.clone(), two.clone()]),
            ("0,-1,2", vec![zero.clone()]),
            ("0,,2", vec![zero.clone()]),
            ("+1", vec![]),
            ("99999999999", vec![]),
            ("GPU-8f,0", vec![Device::Id("GPU-8f".to_owned()), zero]),
            ("MIG-1f", vec![Device::Id("MIG-1f".to_owned())]),
        ] {
            assert_eq!(Visible::parse(Some(text)), only(&expected), "{text:?}");
        }
        assert_eq!(Visible::parse(None), Visible::All);
    }

    #[test]
    fn ids_match_by_their_start_and_slices_by_their_whole() {
        let first = gpu(0, "GPU-8f2a");
        let part = slice(1, "MIG-77", "GPU-9b");
        assert!(Visible::All.shows(&first) && !Visible::All.names(&first));
        assert!(Visible::parse(Some("GPU-8f")).names(&first));
        assert!(!Visible::parse(Some("GPU-9")).shows(&first));
        assert!(!Visible::parse(Some("")).shows(&first));
        for text in ["1", "GPU-9b", "MIG-GPU-9b/1/0"] {
            let visible = Visible::parse(Some(text));
            assert!(visible.shows(&part) && !visible.names(&part), "{text}");
        }
        assert!(Visible::parse(Some("MIG-77")).names(&part));
    }

    #[test]
    fn an_entry_that_is_not_there_or_not_clear_ends_the_list() {
        let present = [gpu(0, "GPU-8f2a"), gpu(1, "GPU-8f77")];
        let among = |text| Visible::parse(Some(text)).among(&present);
        assert_eq!(among("0,9,1"), only(&[Device::Index(0)]));
        assert_eq!(among("GPU-8f,1"), only(&[]));
        assert_eq!(
            among("GPU-8f7,0"),
            only(&[Device::Id("GPU-8f7".to_owned()), Device::Index(0)])
        );
        assert_eq!(Visible::All.among(&present), Visible::All);
        let slices = [slice(0, "MIG-1", "GPU-8f2a"), slice(0, "MIG-2", "GPU-8f2a")];
        assert_eq!(
            Visible::parse(Some("0")).among(&slices),
            only(&[Device::Index(0)])
        );
    }

    proptest! {
        #[test]
        fn reading_never_fails_and_never_invents(text in "[-0-9A-Z a-z,/]{0,40}") {
            let Visible::Only(devices) = Visible::parse(Some(&text)) else { panic!("a value is never all") };
            prop_assert!(devices.len() <= text.split(',').count());
        }
    }
}
