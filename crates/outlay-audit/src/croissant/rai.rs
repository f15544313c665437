//! What is said of a data set's responsible use.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One property of the vocabulary.
pub(super) struct Property {
    /// Its name, without the prefix.
    pub(super) name: &'static str,
    /// Whether it may be there more than once.
    pub(super) is_many: bool,
}

/// Defines the properties once: as fields of [`Rai`], and as a table for the check.
macro_rules! rai {
    (
        one { $($(#[doc = $one_doc:literal])+ $one:ident = $one_name:literal,)+ }
        many { $($(#[doc = $many_doc:literal])+ $many:ident = $many_name:literal,)+ }
    ) => {
        /// What is said of a data set's responsible use: the vocabulary of *Croissant RAI Specification* 1.0, section "RAI
        /// property information", in plain sentences.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Rai {
            $($(#[doc = $one_doc])+ pub $one: Option<String>,)+
            $($(#[doc = $many_doc])+ pub $many: Vec<String>,)+
        }

        /// All properties.
        pub(super) const PROPERTIES: &[Property] = &[
            $(Property { name: $one_name, is_many: false },)+
            $(Property { name: $many_name, is_many: true },)+
        ];

        impl Rai {
            /// Whether nothing is said.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                $(self.$one.is_none() &&)+ $(self.$many.is_empty() &&)+ true
            }

            /// Names of the properties that nothing is said of, in the order of the table, with their prefix `rai:`.
            #[must_use]
            pub fn unknown(&self) -> Vec<&'static str> {
                let mut unknown = Vec::new();
                $(if self.$one.is_none() { unknown.push(concat!("rai:", $one_name)); })+
                $(if self.$many.is_empty() { unknown.push(concat!("rai:", $many_name)); })+
                unknown
            }

            /// Takes what another says: it comes before the sentences here, and instead of what there is one of.
            pub(super) fn add(&mut self, other: Self) {
                $(if other.$one.is_some() { self.$one = other.$one; })+
                $({
                    let mut sentences = other.$many;
                    sentences.append(&mut self.$many);
                    self.$many = sentences;
                })+
            }

            /// Writes what is said.
            pub(super) fn write(&self, into: &mut Map<String, Value>) {
                $(if let Some(text) = &self.$one {
                    into.insert(concat!("rai:", $one_name).to_owned(), text.as_str().into());
                })+
                $(match self.$many.as_slice() {
                    [] => {}
                    [text] => {
                        into.insert(concat!("rai:", $many_name).to_owned(), text.as_str().into());
                    }
                    texts => {
                        into.insert(concat!("rai:", $many_name).to_owned(), texts.into());
                    }
                })+
            }
        }
    };
}

rai! {
    one {
        /// How the data was collected.
        data_collection = "dataCollection",
        /// What is missing.
        data_collection_missing_data = "dataCollectionMissingData",
        /// The raw data, where it came from.
        data_collection_raw_data = "dataCollectionRawData",
        /// How missing values were filled.
        data_imputation_protocol = "dataImputationProtocol",
        /// How the data was changed.
        data_manipulation_protocol = "dataManipulationProtocol",
        /// How labels were made.
        data_annotation_protocol = "dataAnnotationProtocol",
        /// What it does to society.
        data_social_impact = "dataSocialImpact",
        /// How many people labelled one item.
        annotations_per_item = "annotationsPerItem",
    }
    many {
        /// Kinds of collection, of [those recommended](https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html), such as `Surveys` or `Web Scraping`.
        data_collection_type = "dataCollectionType",
        /// First and last day of the collection, ISO 8601.
        data_collection_timeframe = "dataCollectionTimeframe",
        /// Steps from the collected data to that which a model can read.
        data_preprocessing_protocol = "dataPreprocessingProtocol",
        /// What people labelled with.
        data_annotation_platform = "dataAnnotationPlatform",
        /// How single labels became those in the data, and how far people agreed.
        data_annotation_analysis = "dataAnnotationAnalysis",
        /// Who keeps it up, how often, and when versions go.
        data_release_maintenance_plan = "dataReleaseMaintenancePlan",
        /// What it says of persons.
        personal_sensitive_information = "personalSensitiveInformation",
        /// What it says too often, or not at all.
        data_biases = "dataBiases",
        /// What it is not fit for.
        data_limitations = "dataLimitations",
        /// What it is for.
        data_use_cases = "dataUseCases",
        /// Who labelled.
        annotator_demographics = "annotatorDemographics",
        /// Programs that labelled.
        machine_annotation_tools = "machineAnnotationTools",
    }
}

/// Kinds of collection that are recommended, in small letters.
pub(super) const COLLECTION_TYPES: [&str; 16] = [
    "surveys",
    "secondary data analysis",
    "physical data collection",
    "direct measurement",
    "document analysis",
    "manual human curator",
    "software collection",
    "experiments",
    "web scraping",
    "web api",
    "focus groups",
    "self-reporting",
    "customer feedback data",
    "user-generated content data",
    "passive data collection",
    "others",
];
