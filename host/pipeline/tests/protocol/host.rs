//! A host: the product's own lanes and outbox, between a simulated consumer and a simulated courier.

use super::kafka::{Host as Id, Kafka, Record};
use super::{Omission, Random};
use everyframe_pipeline::intake::Lane;
use everyframe_pipeline::publish::{Assignment, Batch, FrameOutput, Outbox};
use std::collections::BTreeMap;
use std::sync::Arc;

type Parcels = Batch<Record, (Arc<Assignment>, i64)>;

struct Partition {
    lane: Lane<(), (), ()>,
    assignment: Arc<Assignment>,
    /// The next frame to fetch; none until the group tells where to begin.
    position: Option<i64>,
    /// The log's end as it was when restoring began.
    restoring: Option<usize>,
    memory: u64,
    seeing: Vec<i64>,
    embedding: Vec<i64>,
    is_closing: bool,
}

/// How far the courier has come with a batch.
enum BatchSender {
    Idle,
    Again(Parcels),
    Sent(Parcels, usize),
    Member(Parcels, usize, u32),
    Checked(Parcels, usize, u32),
    Offered(Parcels, usize),
}

pub struct Host {
    id: Id,
    producer: usize,
    epoch: u32,
    transactional: bool,
    omission: Option<Omission>,
    generation: u32,
    partitions: BTreeMap<usize, Partition>,
    outbox: Outbox<Record, (Arc<Assignment>, i64)>,
    batch_sender: BatchSender,
    gave_up: bool,
    pub is_frozen: bool,
}

/// The state after a frame: it tells which frames came before it, and in which order.
pub fn next_state(before: u64, offset: i64) -> u64 {
    (before ^ (offset as u64 + 1)).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
}

impl Host {
    pub fn start(
        id: Id,
        producer: usize,
        transactional: bool,
        omission: Option<Omission>,
        kafka: &mut Kafka,
    ) -> Self {
        kafka.join(id);
        let epoch = if transactional { kafka.register(producer) } else { 0 };
        Self {
            id,
            producer,
            epoch,
            transactional,
            omission,
            generation: 0,
            partitions: BTreeMap::new(),
            outbox: Outbox::default(),
            batch_sender: BatchSender::Idle,
            gave_up: false,
            is_frozen: false,
        }
    }

    pub fn id(&self) -> Id {
        self.id
    }

    fn omits(&self, omission: Omission) -> bool {
        self.omission == Some(omission)
    }

    /// One step of one of the host's threads, whichever chance picks.
    pub fn step(&mut self, kafka: &mut Kafka, random: &mut Random) {
        match random.below(10) {
            0 => self.poll(kafka, random),
            1 => self.fetch(kafka, random),
            2..=4 => self.work(random),
            5 => self.judge(random),
            6 => self.restore(kafka, random),
            7 => self.commit(kafka, random),
            _ => self.carry(kafka, random),
        }
    }

    fn any<'a>(&'a mut self, random: &mut Random) -> Option<(usize, &'a mut Partition)> {
        let count = self.partitions.len();
        let pick = random.below(count.max(1));
        self.partitions.iter_mut().nth(pick).map(|(number, partition)| (*number, partition))
    }

    /// The consumer's poll: news of the group.
    fn poll(&mut self, kafka: &mut Kafka, random: &mut Random) {
        if self.gave_up || !kafka.members.contains(&self.id) {
            // Lost, or given up: everything of ours ends, and we come anew.
            for partition in self.partitions.values_mut() {
                partition.assignment.end();
                partition.lane.abandon();
            }
            self.partitions.clear();
            self.gave_up = false;
            kafka.evict(self.id);
            kafka.join(self.id);
            return;
        }
        self.generation = kafka.generation;
        let fair = kafka.owners.len().div_ceil(kafka.members.len());
        if let Some((number, partition)) = self.any(random).filter(|(_, partition)| partition.is_closing) {
            // Drained, or out of time.
            if partition.lane.is_empty() || random.one_in(4) {
                partition.assignment.end();
                let done = partition.lane.committable().map(|offset| (number as i32, offset));
                partition.lane.abandon();
                self.partitions.remove(&number);
                if !self.transactional {
                    kafka.commit(self.id, self.generation, done.as_slice());
                }
                kafka.release(self.id, number);
            }
        } else if self.partitions.len() > fair
            && self.partitions.values().all(|partition| !partition.is_closing)
        {
            if let Some((_, partition)) = self.any(random) {
                partition.is_closing = true;
                partition.lane.close();
            }
        } else if self.partitions.len() < fair
            && let Some(number) = kafka.owners.iter().position(Option::is_none)
        {
            kafka.owners[number] = Some(self.id);
            let partition = Partition {
                lane: Lane::default(),
                assignment: Assignment::new(number as i32),
                position: None,
                restoring: None,
                memory: 0,
                seeing: Vec::new(),
                embedding: Vec::new(),
                is_closing: false,
            };
            self.partitions.insert(number, partition);
        }
    }

    fn fetch(&mut self, kafka: &Kafka, random: &mut Random) {
        let blind = self.omits(Omission::StableOffsets);
        let Some((number, partition)) = self.any(random) else { return };
        match partition.position {
            None if blind => partition.position = Some(kafka.committed[number]),
            None => partition.position = kafka.stable_offset(number),
            Some(position) if position < kafka.frames[number] => {
                partition.lane.admit(position, 1, ());
                partition.position = Some(position + 1);
            }
            Some(_) => {}
        }
    }

    /// What the rules remember, once the log has no open transaction before the end it had.
    fn restore(&mut self, kafka: &Kafka, random: &mut Random) {
        let blind = self.omits(Omission::SettledState);
        let Some((number, partition)) = self.any(random) else { return };
        let Some(begin) = kafka.stable_offset(number) else { return };
        let end = *partition.restoring.get_or_insert(kafka.log_end());
        if partition.position.is_some()
            && (blind || kafka.is_settled(number, end))
            && !partition.lane.is_restored()
        {
            let state = kafka.readable(number).into_iter().rfind(|record| record.offset < begin);
            partition.memory = state.map_or(0, |record| record.state);
            partition.lane.restored();
        }
    }

    fn work(&mut self, random: &mut Random) {
        let Some((_, partition)) = self.any(random) else { return };
        let lane = &mut partition.lane;
        match random.below(4) {
            0 => partition.seeing.extend(lane.dispatch(3).map(|(offset, ())| offset)),
            1 if !partition.seeing.is_empty() => {
                let offset = partition.seeing.swap_remove(random.below(partition.seeing.len()));
                lane.seen(offset, ());
            }
            2 => partition.embedding.extend(lane.follow().map(|(offset, ())| offset)),
            3 if !partition.embedding.is_empty() => {
                let offset = partition.embedding.swap_remove(random.below(partition.embedding.len()));
                lane.embedded(offset, ());
            }
            _ => {}
        }
    }

    fn judge(&mut self, random: &mut Random) {
        let Some((number, partition)) = self.any(random) else { return };
        let Some((offset, ())) = partition.lane.judge() else { return };
        partition.memory = next_state(partition.memory, offset);
        partition.lane.publishing(offset);
        let record = Record { partition: number, offset, state: partition.memory };
        let assignment = partition.assignment.clone();
        let done = (assignment.clone(), offset);
        let output = FrameOutput { assignment, offset, records: vec![record], urgent: false, done };
        partition.lane.sent();
        self.outbox.push(output);
    }

    /// Without transactions: intake commits what is acknowledged.
    fn commit(&mut self, kafka: &mut Kafka, random: &mut Random) {
        if self.transactional {
            return;
        }
        let (id, generation) = (self.id, self.generation);
        let Some((number, partition)) = self.any(random) else { return };
        if let Some(offset) = partition.lane.committable()
            && kafka.commit(id, generation, &[(number as i32, offset)])
        {
            partition.lane.committed(offset);
        }
    }

    /// The courier's next step.
    fn carry(&mut self, kafka: &mut Kafka, random: &mut Random) {
        let (id, producer, epoch) = (self.id, self.producer, self.epoch);
        let careless = self.omits(Omission::OwnershipCheck);
        let refused = random.one_in(12);
        self.batch_sender = match std::mem::replace(&mut self.batch_sender, BatchSender::Idle) {
            BatchSender::Idle if self.outbox.is_empty() => BatchSender::Idle,
            BatchSender::Idle => BatchSender::Again(self.outbox.take(1 + random.below(4))),
            BatchSender::Again(mut batch) => {
                if !careless {
                    batch.leave_out_others();
                }
                if batch.outputs().is_empty() {
                    BatchSender::Idle
                } else if !self.transactional {
                    self.send_plainly(batch, kafka, random)
                } else if kafka.is_fenced(producer, epoch) {
                    self.give_up(batch, kafka)
                } else {
                    let transaction = kafka.begin(producer);
                    for record in batch.outputs().iter().flat_map(|output| &output.records) {
                        kafka.append(Some(transaction), *record);
                    }
                    BatchSender::Sent(batch, transaction)
                }
            }
            BatchSender::Sent(batch, _)
            | BatchSender::Member(batch, ..)
            | BatchSender::Checked(batch, ..)
            | BatchSender::Offered(batch, _)
                if kafka.is_fenced(producer, epoch) =>
            {
                self.give_up(batch, kafka)
            }
            BatchSender::Sent(batch, transaction) if refused => {
                kafka.abort(transaction);
                BatchSender::Again(batch)
            }
            BatchSender::Sent(batch, transaction) => BatchSender::Member(batch, transaction, self.generation),
            BatchSender::Member(batch, transaction, generation) if careless || batch.is_ours() => {
                BatchSender::Checked(batch, transaction, generation)
            }
            BatchSender::Member(batch, transaction, _) => {
                kafka.abort(transaction);
                BatchSender::Again(batch)
            }
            BatchSender::Checked(batch, transaction, generation) => {
                if kafka.offer(transaction, id, generation, &batch.offsets()) {
                    BatchSender::Offered(batch, transaction)
                } else {
                    kafka.abort(transaction);
                    BatchSender::Again(batch)
                }
            }
            BatchSender::Offered(batch, transaction) => {
                // The request or its answer may get lost.
                if !refused || random.one_in(2) {
                    kafka.commit_transaction(transaction);
                }
                match (refused, self.omits(Omission::GivingUp)) {
                    (true, true) => {
                        self.epoch = kafka.register(producer);
                        BatchSender::Again(batch)
                    }
                    (true, false) => self.give_up(batch, kafka),
                    (false, _) => {
                        self.acknowledge(batch.delivered());
                        BatchSender::Idle
                    }
                }
            }
        };
    }

    fn send_plainly(&mut self, mut batch: Parcels, kafka: &mut Kafka, random: &mut Random) -> BatchSender {
        let mut is_refused = false;
        for output in batch.parcels_mut() {
            output.records.retain(|record| {
                let refused = random.one_in(12);
                if !refused {
                    kafka.append(None, *record);
                }
                is_refused |= refused;
                refused
            });
        }
        if is_refused {
            return BatchSender::Again(batch);
        }
        self.acknowledge(batch.delivered());
        BatchSender::Idle
    }

    fn give_up(&mut self, batch: Parcels, kafka: &mut Kafka) -> BatchSender {
        batch.give_up();
        self.gave_up = true;
        self.epoch = kafka.register(self.producer);
        BatchSender::Idle
    }

    fn acknowledge(&mut self, done: impl Iterator<Item = (Arc<Assignment>, i64)>) {
        for (assignment, offset) in done {
            // A lane that was abandoned knows the offset no more.
            let lanes = self.partitions.values_mut();
            if let Some(partition) =
                lanes.into_iter().find(|partition| Arc::ptr_eq(&partition.assignment, &assignment))
            {
                partition.lane.acknowledged(offset);
            }
        }
    }
}
