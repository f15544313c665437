//! Engines' schedulers, run request by request over the times of passes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::scattered;
use crate::serving::deployment::{Deployment, Engine, ServingMemory};
use crate::serving::pass::{PassTimes, PromptPart};

/// What clients ask of one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Longest prompt, in tokens.
    pub input_tokens: f64,
    /// Longest answer, in tokens.
    pub output_tokens: f64,
    /// Shortest prompt and answer, as a share of the longest; between them lengths are uniform.
    pub shortest: f64,
    /// Clients that each send a request as soon as their last is answered (a closed loop); with `rate_per_s`, the most
    /// requests that run at once.
    pub concurrency: u32,
    /// Requests that arrive each second, at random times (an open loop); `None`: a closed loop.
    pub rate_per_s: Option<f64>,
    /// Requests to run.
    pub requests: u32,
    /// How much the first burst of a closed loop, when all clients come at once, counts in the means: its share of all
    /// requests that the figures are to stand for (0: it is left out).
    pub burst_share: f64,
    /// Share of each prompt whose cache is already there.
    pub cached_prefix: f64,
    /// Speculative decoding.
    pub draft: Option<Draft>,
}

/// Speculative decoding: a draft that the model verifies in one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draft {
    /// Tokens drafted for each pass.
    pub tokens: f64,
    /// Tokens that a pass yields on average, the model's own included; at least 1.
    pub yields: f64,
}

impl Load {
    /// Tokens that a pass yields for each sequence, and tokens that it computes for that.
    fn speed(&self) -> (f64, f64) {
        self.draft.map_or((1.0, 1.0), |draft| {
            (draft.yields.max(1.0), 1.0 + draft.tokens.max(0.0))
        })
    }
}

/// Percentiles of a latency, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// Mean.
    pub mean: f64,
    /// Half of the requests are served sooner.
    pub p50: f64,
    /// 99 in 100 are served sooner.
    pub p99: f64,
}

impl Percentiles {
    /// Of the first burst's values and the others', where the burst stands for `burst_share` of all requests.
    fn of(burst: &mut Vec<f64>, others: &mut Vec<f64>, burst_share: f64) -> Self {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let mean = match (burst.is_empty(), others.is_empty()) {
            (true, true) => return Self::default(),
            (false, true) => mean(burst),
            (true, false) => mean(others),
            _ => burst_share * mean(burst) + (1.0 - burst_share) * mean(others),
        };
        if burst_share > 0.0 || others.is_empty() {
            others.append(burst);
        }
        let values = others;
        let mut at = |share: f64| {
            let index = ((values.len() - 1) as f64 * share).round() as usize;
            *values.select_nth_unstable_by(index, f64::total_cmp).1
        };
        Self {
            mean,
            p50: at(0.5),
            p99: at(0.99),
        }
    }
}

/// What the clients see.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Time to first token.
    pub ttft_s: Percentiles,
    /// Time per output token after the first.
    pub tpot_s: Percentiles,
    /// Requests finished each second.
    pub requests_per_s: f64,
    /// Sequences that decode, on average over time.
    pub mean_batch: f64,
}

fn figures([mut burst, mut others]: [Vec<f64>; 2], burst_share: f64) -> Percentiles {
    Percentiles::of(&mut burst, &mut others, burst_share)
}

impl Outcome {
    /// What is left of it behind a front end that takes so many seconds for each request, one after another.
    ///
    /// Clients of a closed loop wait for it before their first token: with `N` of them, a latency `Z` of the engine and a
    /// time `s` of the front end, throughput is `((N / Z)^-8 + (1 / s)^-8)^(-1/8)`, which bends from one asymptote of the
    /// closed network to the other (Lazowska and others, Quantitative System Performance, 1984, section 5.2), and the rest
    /// of `N / X` is waited. Under random arrivals the front end is the queue M/D/1.
    ///
    /// Engines that merge what a client has not taken yet send the pieces of a pass, `piece_s` for each sequence, one after
    /// another, and never fall behind by more: a first token waits for half of them, and where they fill the time of a pass,
    /// a new request waits for half as well.
    fn behind_front_end(mut self, request_s: f64, piece_s: f64, load: &Load) -> Self {
        let pieces_s = self.mean_batch * piece_s;
        let busy = (pieces_s / self.tpot_s.mean.max(1e-9)).min(1.0);
        let sent_s = pieces_s * 0.5 * (1.0 + busy);
        self.ttft_s.mean += sent_s;
        self.ttft_s.p50 += sent_s;
        self.ttft_s.p99 += 2.0 * sent_s;
        let output = 0.5 * (1.0 + load.shortest) * load.output_tokens;
        let wait = match load.rate_per_s {
            None => {
                let clients = f64::from(load.concurrency);
                let whole = self.ttft_s.mean + self.tpot_s.mean * (output - 1.0);
                let engine = clients / whole.max(1e-9);
                let busy = engine * request_s;
                let slower = (1.0 + busy.powi(8)).powf(-0.125);
                self.requests_per_s *= slower;
                self.mean_batch *= slower;
                whole * (1.0 / slower - 1.0)
            }
            Some(rate) => {
                let busy = (rate * request_s).min(0.999);
                request_s * busy / (2.0 * (1.0 - busy))
            }
        };
        self.ttft_s.mean += wait;
        self.ttft_s.p50 += wait;
        // Waits of random arrivals are as good as exponential in their tail.
        self.ttft_s.p99 += if load.rate_per_s.is_some() {
            wait * 100.0_f64.ln()
        } else {
            wait
        };
        self
    }
}

/// Lengths of the requests: uniform over their range.
struct Lengths {
    load: Load,
}

impl Lengths {
    fn share(&self, seed: u64) -> f64 {
        self.load.shortest + (1.0 - self.load.shortest) * scattered(seed)
    }

    fn input(&self, index: u32) -> f64 {
        (self.load.input_tokens * self.share(2 * u64::from(index)))
            .round()
            .max(1.0)
    }

    fn output(&self, index: u32) -> f64 {
        (self.load.output_tokens * self.share(2 * u64::from(index) + 1))
            .round()
            .max(1.0)
    }
}

/// Seconds between random arrivals, the same sequence for every load.
pub(crate) struct Arrivals {
    state: u64,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { state: 1 }
    }

    pub(crate) fn next(&mut self, rate_per_s: f64) -> f64 {
        self.state += 1;
        -(1.0 - scattered(self.state << 32)).ln() / rate_per_s
    }
}

/// Seconds between an answer's end and its client's next request: 2 to 6 ms for the client to notice and for the request to
/// travel, scattered over the clients. Without it, clients whose prompts shared a pass would march in step for ever.
fn turnaround_s(index: u32) -> f64 {
    0.002 + 0.004 * (f64::from(index) * 0.569_840_290_998_053_3).fract()
}

/// Seconds between the first requests of a closed loop, sent by one client process.
const FIRST_REQUESTS_APART_S: f64 = 0.0005;

/// The attention group that takes a request: that with the fewest, any of them where several have as few.
fn group_of(index: u32, held: &[u32]) -> usize {
    if held.len() < 2 {
        return 0;
    }
    let first = (scattered(u64::from(index) << 40) * held.len() as f64) as usize;
    (0..held.len())
        .map(|step| (first + step) % held.len())
        .min_by_key(|&group| held[group])
        .unwrap_or(0)
}

/// Front ends of a replica: vLLM runs one for each attention group.
pub(crate) fn front_ends(engine: Engine, groups: f64) -> f64 {
    if engine == Engine::Vllm { groups } else { 1.0 }
}

/// Whole nanoseconds, so that times order in a heap.
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

struct Waiting {
    index: u32,
    /// Attention group that it belongs to.
    group: usize,
    arrived_s: f64,
    input: f64,
    left: f64,
}

/// Runs a replica in which every rank takes part in prompts and answers.
///
/// `memory` bounds the sequences that run at once; `slots` bounds them by setting.
pub fn simulate(
    times: &PassTimes,
    deployment: &Deployment<'_>,
    memory: &ServingMemory,
    load: &Load,
) -> Outcome {
    // Each lane of a pipeline takes its share of the requests.
    let lanes = times.lanes;
    let load = &Load {
        concurrency: (f64::from(load.concurrency) / lanes).ceil() as u32,
        rate_per_s: load.rate_per_s.map(|rate| rate / lanes),
        ..*load
    };
    let lengths = Lengths { load: *load };
    let engine = deployment.engine;
    let groups = times.attention_data;
    let settings = &deployment.settings;
    // vLLM starts a server process for each data-parallel rank (`--api-server-count`).
    let front_ends = front_ends(engine, groups);
    let average = 0.5 * (1.0 + load.shortest);
    // TensorRT-LLM sets the whole answer's cache aside when a request starts; others fill up and go on as requests end,
    // so that half of an answer is there on average.
    let reserved = if engine.chunks() { 0.5 } else { 1.0 };
    let context = load.input_tokens * average + reserved * load.output_tokens * average;
    let capacity = (memory.sequences(context) * groups / lanes)
        .floor()
        .max(1.0);
    let slots = capacity
        .min(f64::from(load.concurrency))
        .min(f64::from(settings.max_sequences) * groups)
        .max(1.0) as usize;
    let (speed, drafted) = load.speed();

    let mut arrivals = Arrivals::new();
    // Requests on their way or not looked at yet, that wait for room, and that have it.
    let mut inbox: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let mut prefilling: VecDeque<Waiting> = VecDeque::new();
    let mut since_poll = settings.poll_passes;
    // Passes that prompts have waited.
    let mut waited = 0_u32;
    // Prompt tokens of a pass by attention group.
    let mut taken = vec![0.0_f64; groups as usize];
    // Requests of each attention group, and the group of each request.
    let mut group_requests = vec![0_u32; groups as usize];
    let mut groups_of = vec![0_u8; load.requests.max(1) as usize];
    // (pass at whose end it is done, request); first-token times by request.
    let mut running: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let total = load.requests.max(1);
    let mut first_s = vec![0.0; total as usize];
    // Of the first burst, and of the others.
    let mut ttft = [Vec::new(), Vec::with_capacity(total as usize)];
    let mut tpot = [Vec::new(), Vec::with_capacity(total as usize)];
    let wave = |index: u32| usize::from(load.rate_per_s.is_some() || index >= load.concurrency);
    let mut sent = 0_u32;
    let mut now = 0.0_f64;
    // Engines put a pass together while the one before it runs: a request that arrives in a pass takes part in the next but one.
    let mut last_s = 0.0_f64;
    let mut passes = 0_u64;
    let mut held = 0.0_f64;
    let mut busy = 0.0_f64;
    let request = |index: u32, arrived_s: f64, group: usize| {
        let input = lengths.input(index);
        Waiting {
            index,
            group,
            arrived_s,
            input,
            left: (input * (1.0 - load.cached_prefix)).max(1.0),
        }
    };
    let first_requests = if load.rate_per_s.is_some() {
        total
    } else {
        total.min(load.concurrency)
    };
    let mut at = 0.0;
    while sent < first_requests {
        inbox.push(Reverse((nanoseconds(at), sent)));
        sent += 1;
        at += load
            .rate_per_s
            .map_or(FIRST_REQUESTS_APART_S, |rate| arrivals.next(rate));
    }
    let mut done = 0_u32;
    while done < total {
        if since_poll >= settings.poll_passes || running.is_empty() {
            while let Some(&Reverse((at, index))) = inbox.peek()
                && at <= nanoseconds(now - last_s)
            {
                inbox.pop();
                let group = group_of(index, &group_requests);
                group_requests[group] += 1;
                groups_of[index as usize] = group as u8;
                waiting.push_back(request(index, at as f64 * 1e-9, group));
            }
            since_poll = 0;
        }
        let next_arrival = inbox
            .peek()
            .map_or(f64::INFINITY, |first| first.0.0 as f64 * 1e-9);
        while running.len() + prefilling.len() < slots
            && let Some(next) = waiting.pop_front()
        {
            prefilling.push_back(next);
        }
        let batch = running.len() as f64;
        let mut prompted = false;
        let mean_context = if batch > 0.0 { held / batch } else { 0.0 };
        // Prompts may wait until every attention group has one, or until there are enough of them.
        let most_waits = if groups > 1.0 {
            settings.balance_passes
        } else {
            settings.wait_passes
        };
        let waits = batch > 0.0 && waited < most_waits && !prefilling.is_empty() && {
            if groups > 1.0 {
                taken.fill(0.0);
                for prompt in &prefilling {
                    taken[prompt.group] = 1.0;
                }
                taken.contains(&0.0)
            } else {
                let tokens: f64 = prefilling.iter().map(|prompt| prompt.left).sum();
                tokens + batch * drafted < settings.wait_share * settings.pass_tokens
            }
        };
        if prefilling.is_empty() || waits {
            if batch == 0.0 {
                // To the nanosecond after, so that rounding cannot hold it up.
                now = now.max(next_arrival) + 1e-9;
                last_s = 0.0;
                continue;
            }
            // Nothing changes until the first answer ends, or until the next request arrives.
            let end = running.peek().map_or(passes + 1, |first| first.0.0);
            let mut steps = end.saturating_sub(passes).max(1) as f64;
            if next_arrival <= now {
                steps = steps.min(f64::from(
                    settings.poll_passes.saturating_sub(since_poll).max(1),
                ));
            }
            if !prefilling.is_empty() {
                steps = steps.min(f64::from(most_waits - waited));
            }
            let one = times.decode_s(batch, mean_context + 0.5 * steps * speed, drafted);
            if next_arrival > now && running.len() < slots {
                steps = steps.min(((next_arrival - now) / one).ceil().max(1.0) + 1.0);
            }
            since_poll = since_poll.saturating_add(steps as u32);
            if !prefilling.is_empty() {
                waited += steps as u32;
            }
            last_s = one;
            now += steps * one;
            busy += steps * one * batch;
            passes += steps as u64;
            held += steps * batch * speed;
        } else {
            waited = 0;
            prompted = true;
            since_poll = settings.poll_passes;
            let beside = if engine.mixes() {
                batch * drafted / groups
            } else {
                0.0
            };
            let room = (settings.pass_tokens - beside).max(256.0);
            taken.fill(0.0);
            let mut part = PromptPart {
                tokens: 0.0,
                busiest_tokens: 0.0,
                keys_per_token: 0.0,
                prompts: 0.0,
            };
            let mut pairs = 0.0;
            for next in &mut prefilling {
                let taken = &mut taken[next.group];
                let left = room - *taken;
                let take = if engine.chunks() {
                    next.left.min(left)
                } else if *taken > 0.0 && next.left > left {
                    0.0
                } else {
                    next.left
                };
                if take <= 0.0 {
                    if groups == 1.0 {
                        break;
                    }
                    continue;
                }
                let before = next.input - next.left;
                pairs += take * (before + 0.5 * take);
                next.left -= take;
                *taken += take;
                part.tokens += take;
                part.prompts += 1.0;
            }
            part.busiest_tokens = taken.iter().copied().fold(0.0, f64::max);
            part.keys_per_token = pairs / part.tokens;
            let decoding = if engine.mixes() { batch } else { 0.0 };
            let seconds = times.mixed_s(decoding, mean_context, drafted, &part);
            last_s = seconds;
            now += seconds;
            busy += seconds * batch;
            if engine.mixes() && batch > 0.0 {
                passes += 1;
                held += batch * speed;
            }
        }
        while let Some(&Reverse((end, index))) = running.peek()
            && end <= passes
        {
            running.pop();
            group_requests[usize::from(groups_of[index as usize])] -= 1;
            let output = lengths.output(index);
            held -= lengths.input(index) + output;
            if output > 1.0 {
                tpot[wave(index)].push((now - first_s[index as usize]) / (output - 1.0));
            }
            done += 1;
            if load.rate_per_s.is_none() && sent < total {
                inbox.push(Reverse((nanoseconds(now + turnaround_s(sent)), sent)));
                sent += 1;
            }
        }
        if prompted {
            prefilling.retain(|prompt| {
                if prompt.left > 0.0 {
                    return true;
                }
                first_s[prompt.index as usize] = now;
                ttft[wave(prompt.index)].push(now - prompt.arrived_s + times.request_s);
                let output = lengths.output(prompt.index);
                held += prompt.input + 1.0;
                let steps = ((output - 1.0) / speed).ceil() as u64;
                running.push(Reverse((passes + steps, prompt.index)));
                false
            });
        }
        if running.is_empty() {
            held = 0.0;
        }
    }
    Outcome {
        ttft_s: figures(ttft, load.burst_share),
        tpot_s: figures(tpot, load.burst_share),
        requests_per_s: lanes * f64::from(total) / now.max(1e-9),
        mean_batch: lanes * busy / now.max(1e-9),
    }
    .behind_front_end(
        times.front_end_s(
            0.5 * (1.0 + load.shortest) * load.output_tokens,
            settings.chunk_tokens,
            front_ends,
        ),
        times.merged_piece_s(settings.chunk_tokens, front_ends),
        load,
    )
}

/// Workers that do prompts and workers that decode.
#[derive(Clone, Copy, Debug)]
pub struct Split<'a> {
    /// Passes of a prompt worker.
    pub prompts: &'a PassTimes,
    /// Prompt workers.
    pub prompt_workers: u32,
    /// Tokens of a prompt worker's pass, for each attention group.
    pub prompt_pass_tokens: f64,
    /// Passes of a decode worker.
    pub decode: &'a PassTimes,
    /// Decode workers.
    pub decode_workers: u32,
    /// Sequences that one decode worker holds.
    pub decode_slots: f64,
}

/// Runs prompt workers and decode workers that hand caches over.
pub fn simulate_split(split: &Split<'_>, load: &Load) -> Outcome {
    // Of many clients, each that is followed stands for several that come and go together.
    let alike = f64::from(load.concurrency.div_ceil(512).max(1));
    let load = &Load {
        concurrency: (f64::from(load.concurrency) / alike).ceil() as u32,
        rate_per_s: load.rate_per_s.map(|rate| rate / alike),
        requests: (f64::from(load.requests) / alike).ceil() as u32,
        ..*load
    };
    let lengths = Lengths { load: *load };
    let total = load.requests.max(1);
    let workers = f64::from(split.decode_workers.max(1));
    // Requests go to the decode workers in turn, as they come.
    let slots = (split.decode_slots / alike).max(1.0) as u32;
    let worker_of = |index: u32| (index % split.decode_workers.max(1)) as usize;
    let mut held_by = vec![0_u32; split.decode_workers.max(1) as usize];
    let (speed, drafted) = load.speed();
    let mut arrivals = Arrivals::new();
    // Times at which each prompt worker is free again.
    let mut free = vec![0.0_f64; split.prompt_workers.max(1) as usize];
    let mut queue: VecDeque<(u32, f64)> = VecDeque::new();
    // Prompts done at a time, in order: (time, request, arrival).
    let mut ready: BinaryHeap<Reverse<(u64, u32, u64)>> = BinaryHeap::new();
    let mut blocked: Vec<VecDeque<(u32, f64)>> = vec![VecDeque::new(); held_by.len()];
    let mut running: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut first_s = vec![0.0; total as usize];
    // Of the first burst, and of the others.
    let mut ttft = [Vec::new(), Vec::with_capacity(total as usize)];
    let mut tpot = [Vec::new(), Vec::with_capacity(total as usize)];
    let wave = |index: u32| usize::from(load.rate_per_s.is_some() || index >= load.concurrency);
    let (mut now, mut steps, mut held, mut busy) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
    let mut sent = 0_u32;
    let mut done = 0_u32;
    let mut next_arrival = 0.0_f64;
    // Thousandths of a step, so that ends order in a heap.
    let fixed_steps = |steps: f64| (steps * 1e3).ceil() as u64;
    if load.rate_per_s.is_none() {
        while sent < total.min(load.concurrency) {
            queue.push_back((sent, 0.0));
            sent += 1;
        }
    }
    while done < total {
        if let Some(rate) = load.rate_per_s {
            while sent < total && next_arrival <= now {
                queue.push_back((sent, next_arrival));
                sent += 1;
                next_arrival += arrivals.next(rate);
            }
        }
        // Free workers take what fits a pass, one prompt at least.
        for worker in &mut free {
            while *worker <= now && !queue.is_empty() {
                let room = split.prompt_pass_tokens * split.prompts.attention_data;
                let (mut tokens, mut pairs, mut taken) = (0.0, 0.0, Vec::new());
                while let Some(&(index, arrived)) = queue.front() {
                    let input = lengths.input(index) * (1.0 - load.cached_prefix);
                    if tokens > 0.0 && tokens + alike * input > room {
                        break;
                    }
                    queue.pop_front();
                    tokens += alike * input;
                    pairs += alike * 0.5 * input * input;
                    taken.push((index, arrived));
                }
                let prompts = alike * taken.len() as f64;
                let passes = (tokens / room).ceil().max(1.0);
                let groups = split.prompts.attention_data;
                let part = PromptPart {
                    tokens,
                    busiest_tokens: tokens * (prompts / groups).ceil() / prompts,
                    keys_per_token: pairs / tokens,
                    prompts,
                };
                let seconds = split.prompts.mixed_s(0.0, 0.0, 1.0, &part)
                    + (passes - 1.0) * split.prompts.prompt_s(1.0, 1.0).min(0.005);
                *worker = now + seconds;
                for (index, arrived) in taken {
                    let hand_over = split.prompts.hand_over_s
                        + split.prompts.hand_over_s_per_token * lengths.input(index);
                    ready.push(Reverse((
                        nanoseconds(*worker + hand_over),
                        index,
                        nanoseconds(arrived),
                    )));
                }
            }
        }
        // The next thing to happen.
        let batch = alike * running.len() as f64;
        let one = if batch > 0.0 {
            split
                .decode
                .decode_s(batch / workers, held / batch, drafted)
        } else {
            0.0
        };
        let mut next = f64::INFINITY;
        if let Some(Reverse((at, _, _))) = ready.peek() {
            next = next.min(*at as f64 * 1e-9);
        }
        if !queue.is_empty() {
            next = next.min(free.iter().copied().fold(f64::INFINITY, f64::min));
        }
        if load.rate_per_s.is_some() && sent < total {
            next = next.min(next_arrival);
        }
        if let Some(Reverse((end, _))) = running.peek() {
            next = next.min(now + (*end as f64 * 1e-3 - steps).max(0.0) * one);
        }
        if !next.is_finite() {
            break;
        }
        let elapsed = (next - now).max(1e-9);
        now += elapsed;
        busy += elapsed * batch;
        if batch > 0.0 {
            let progress = elapsed / one;
            steps += progress;
            held += progress * batch * speed;
        }
        while let Some(&Reverse((end, index))) = running.peek()
            && end <= fixed_steps(steps) + 1
        {
            running.pop();
            held_by[worker_of(index)] -= 1;
            let output = lengths.output(index);
            held = (held - alike * (lengths.input(index) + output)).max(0.0);
            if output > 1.0 {
                tpot[wave(index)].push((now - first_s[index as usize]) / (output - 1.0));
            }
            done += 1;
            if load.rate_per_s.is_none() && sent < total {
                queue.push_back((sent, now + turnaround_s(sent)));
                sent += 1;
            }
        }
        while let Some(&Reverse((at, index, arrived))) = ready.peek()
            && at <= nanoseconds(now) + 1
        {
            ready.pop();
            blocked[worker_of(index)].push_back((index, arrived as f64 * 1e-9));
        }
        for (worker, blocked) in blocked.iter_mut().enumerate() {
            while held_by[worker] < slots
                && let Some((index, arrived)) = blocked.pop_front()
            {
                held_by[worker] += 1;
                first_s[index as usize] = now;
                ttft[wave(index)].push(now - arrived + split.prompts.request_s);
                held += alike * (lengths.input(index) + 1.0);
                let end = steps + (lengths.output(index) - 1.0) / speed;
                running.push(Reverse((fixed_steps(end), index)));
            }
        }
    }
    Outcome {
        ttft_s: figures(ttft, load.burst_share),
        tpot_s: figures(tpot, load.burst_share),
        requests_per_s: alike * f64::from(total) / now.max(1e-9),
        mean_batch: busy / now.max(1e-9) / workers,
    }
}
