//! A client that speaks HTTP by hand, over one connection, as MLflow's does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A connection to the server.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    pub(crate) fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_owned(),
        })
    }

    /// Asks for something, and gives the status and the body.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> std::io::Result<(u16, Value)> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let broken = || std::io::Error::other("the reply is none");
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(broken)?;
        let mut n_bytes = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            if line == "\r\n" {
                break;
            }
            let length = line.to_ascii_lowercase();
            if let Some(length) = length.strip_prefix("content-length:") {
                n_bytes = length.trim().parse().map_err(|_| broken())?;
            }
        }
        let mut body = vec![0; n_bytes];
        self.stream.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Posts to one of MLflow's paths.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        self.ask("POST", &format!("/api/2.0/mlflow/{path}"), body)
    }

    /// Gets one of MLflow's paths.
    pub(crate) fn get(&mut self, path: &str) -> std::io::Result<(u16, Value)> {
        self.ask("GET", &format!("/api/2.0/mlflow/{path}"), &Value::Null)
    }
}
