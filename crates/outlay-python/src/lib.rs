//! The kernels of `outlay audit` for Python: what Ray's and Spark's workers call.

use pyo3::prelude::*;

#[pymodule]
mod _outlay {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use outlay_audit::{Job, Judge, Rule, Shingle, Shingler, private, redacted};
    use pyo3::exceptions::{PyOSError, PyValueError};
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict};

    /// Looks at the sources of a job, which `outlay audit --engine ray` writes.
    #[pyclass(frozen, module = "outlay._outlay")]
    struct Worker(Arc<outlay_audit::Worker>);

    #[pymethods]
    impl Worker {
        #[new]
        fn new(py: Python<'_>, job: &str) -> PyResult<Self> {
            let job: Job = serde_json::from_str(job)
                .map_err(|error| PyValueError::new_err(format!("the job: {error}")))?;
            let worker = py.detach(|| outlay_audit::Worker::new(job));
            let worker = worker.map_err(|error| PyValueError::new_err(error.to_string()))?;
            Ok(Self(Arc::new(worker)))
        }

        /// The sources' paths.
        #[getter]
        fn paths(&self) -> Vec<String> {
            let sources = self.0.sources().iter();
            sources
                .map(|source| source.path.display().to_string())
                .collect()
        }

        /// The sources' sizes, in bytes.
        #[getter]
        fn sizes(&self) -> Vec<u64> {
            self.0
                .sources()
                .iter()
                .map(|source| source.n_bytes)
                .collect()
        }

        /// Opens the folder in which what is seen is brought together.
        fn open(&self, folder: PathBuf) -> PyResult<Seen> {
            let saved = self
                .0
                .saved(&folder)
                .map_err(|error| PyOSError::new_err(error.to_string()))?;
            Ok(Seen {
                missing: self.0.missing(&saved),
                saved: Mutex::new(Some(saved)),
            })
        }

        /// What is seen of a source, as bytes; `None` where it cannot be opened.
        fn see<'py>(
            &self,
            py: Python<'py>,
            source: usize,
        ) -> PyResult<Option<Bound<'py, PyBytes>>> {
            let seen = py.detach(|| self.0.see(source))?;
            Ok(seen.map(|bytes| PyBytes::new(py, &bytes)))
        }
    }

    /// What workers saw, brought together in a folder.
    #[pyclass(frozen, module = "outlay._outlay")]
    struct Seen {
        /// Numbers of the sources that were not there when it was opened.
        #[pyo3(get)]
        missing: Vec<usize>,
        saved: Mutex<Option<outlay_audit::Saved>>,
    }

    #[pymethods]
    impl Seen {
        /// Adds what a worker saw of a source.
        fn bring(&self, py: Python<'_>, seen: &[u8]) -> PyResult<()> {
            py.detach(|| {
                let mut saved = self
                    .saved
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                match saved.as_mut() {
                    Some(saved) => Ok(saved.bring(seen)?),
                    None => Err(PyValueError::new_err("it is closed")),
                }
            })
        }

        /// Closes the folder, so that another may use it.
        fn close(&self) {
            let mut saved = self
                .saved
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *saved = None;
        }
    }

    /// Looks at texts, each by itself; `None` is as an empty one.
    ///
    /// Gives lists, one value for each text: `exact`, a number that texts which say the same words have in common; `private`,
    /// the forms of personal data and secrets in it; `rules`, the rules of quality that it breaks; `redacted`, the text with what is
    /// private replaced.
    #[pyfunction]
    fn look_at_texts<'py>(
        py: Python<'py>,
        texts: Vec<Option<String>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (mut exact, mut forms, mut rules, mut clean) = (vec![], vec![], vec![], vec![]);
        py.detach(|| {
            let mut shingler = Shingler::new(Shingle::Words(5));
            let mut judge = Judge::default();
            for text in &texts {
                let text = text.as_deref().unwrap_or_default();
                exact.push(shingler.exact(text));
                let found: Vec<String> = private(text)
                    .into_iter()
                    .map(|one| one.form.to_string())
                    .collect();
                forms.push(found);
                let broken = judge.judge(text);
                let broken: Vec<&'static str> = Rule::ALL
                    .into_iter()
                    .filter(|rule| broken.has(*rule))
                    .map(Rule::name)
                    .collect();
                rules.push(broken);
                clean.push(redacted(text));
            }
        });
        let lists = PyDict::new(py);
        lists.set_item("exact", exact)?;
        lists.set_item("private", forms)?;
        lists.set_item("rules", rules)?;
        lists.set_item("redacted", clean)?;
        Ok(lists)
    }

    /// The Jaccard similarity of two texts' sets of shingles, such as `words:5` or `characters:9`.
    #[pyfunction]
    #[pyo3(signature = (one, other, shingle = "words:5"))]
    fn similarity(one: &str, other: &str, shingle: &str) -> PyResult<f64> {
        let shingle = Shingle::from_text(shingle).ok_or_else(|| {
            PyValueError::new_err(format!(
                "shingle is `{shingle}`; allowed: words:N or characters:N, N from 1 to 64"
            ))
        })?;
        let mut shingler = Shingler::new(shingle);
        let one = shingler.set(one).to_vec();
        Ok(outlay_audit::jaccard(&one, shingler.set(other)))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
