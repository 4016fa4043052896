/**
 * Messages between nodes: Ethernet frame, message header, operations, causes. A frame is EthernetHeader + MessageHeader
 * + up to MAX_FRAGMENT_BYTES of body. All fields are little-endian, except the Ethernet type.
 *
 * Reliability, per ordered pair of nids (state machine: kernel/net/reliable.ts and emulator/fabric/reliable.ts):
 * - Data frames carry sequence 1, 2, 3 … (32 bits, wrapping past 0); `acknowledgement` is the highest sequence received
 *   in order, 0 = none.
 * - The receiver delivers in order. It holds frames that arrive early, if it has room, and reports them: bit n of
 *   `selective` = the frame n + 1 after `acknowledgement` is held (bit 0 is never set). A frame acknowledged in either
 *   way is never retransmitted.
 * - The receiver answers every data frame within the same interrupt: by one of its own data frames, or by an
 *   ACKNOWLEDGE frame (sequence 0, no body).
 * - At most WINDOW_FRAMES are in flight, including acknowledged frames after a missing one.
 * - Retransmission timeout: RFC 6298 with Karn's rule. SRTT and RTTVAR come from frames that were sent once; RTO = SRTT
 *   + 4 RTTVAR, at least RTO_MIN_NS; RTO_INITIAL_NS before the first sample. When RTO expires, the oldest frame is
 *   retransmitted, together with the frames missing before the last held one. RTO is then doubled, up to RTO_MAX_NS (or
 *   the measured value, if that is more), until the next sample. A frame after which LATER_FRAMES or more frames are
 *   held counts as lost at once and is retransmitted once.
 * - A peer is unreachable after RETRY_LIMIT timeouts in a row without a valid frame from it. A slow peer never is.
 * - A frame whose version, lengths, addresses or CRC is wrong is dropped and counted.
 * - The fragments of a message are contiguous; fragmentOffset counts up from 0. All have equal fields, except
 *   fragmentBytes, fragmentOffset and those of the link. An incomplete message is discarded when another begins, or
 *   after INBOUND_SILENCE_NS.
 */
export const ETHERTYPE_MARGAY: u16 = 0x88b5;
export const MESSAGE_VERSION: u8 = 1;
export const MAX_FRAGMENT_BYTES: u32 = 8192;
export const WINDOW_FRAMES: u32 = 32;
export const RTO_INITIAL_NS: u64 = 2_000_000;
export const RTO_MIN_NS: u64 = 1_000_000;
export const RTO_MAX_NS: u64 = 32_000_000;
/** Timeouts in a row without a valid frame: about 1.2 s. */
export const RETRY_LIMIT: u32 = 40;
/** RFC 6675, DupThresh. */
export const LATER_FRAMES: u32 = 3;
/** An incomplete message is discarded when no frame of it arrives for this long. */
export const INBOUND_SILENCE_NS: u64 = 2_000_000_000;
/** Longest message body that a node accepts, bytes. */
export const MAX_MESSAGE_BYTES: u32 = 16777216;

/** First three bytes of every MAC; the last three are the nid, big-endian. */
export const MAC_PREFIX_0: u8 = 0x02;
export const MAC_PREFIX_1: u8 = 0x4d;
export const MAC_PREFIX_2: u8 = 0x47;

/** nid 0 hosts the service node and the I/O node; pid 0 of every compute node is its kernel. */
export const SERVICE_NID: u32 = 0;
export const SERVICE_PID: u16 = 1;
export const IO_PID: u16 = 2;
export const KERNEL_PID: u16 = 0;

/** 14 bytes of Ethernet header and two of padding, which align the next header. */
export class EthernetHeader {
  destination!: arr<u8, 6>;
  source!: arr<u8, 6>;
  /** Big-endian. */
  type: u16 = 0;
  padding: u16 = 0;
}

export class MessageHeader {
  version: u8 = 0;
  operation: u8 = 0;
  portalIndex: u8 = 0;
  flags: u8 = 0;
  jobId: u32 = 0;
  /** Set by the sending kernel, never by a program. */
  userId: u32 = 0;
  sourceNid: u32 = 0;
  targetNid: u32 = 0;
  sourcePid: u16 = 0;
  targetPid: u16 = 0;
  /** Chosen by the requester, echoed by the reply. */
  requestId: u64 = 0;
  matchBits: u64 = 0;
  remoteOffset: u64 = 0;
  headerData: u64 = 0;
  /** Bytes of body in this frame; of the whole message; position of this frame's body in the message. */
  fragmentBytes: u32 = 0;
  totalBytes: u32 = 0;
  fragmentOffset: u32 = 0;
  /** Cause of a reply; PUT, GET: unused. */
  cause: u32 = 0;
  sequence: u32 = 0;
  acknowledgement: u32 = 0;
  reserved: u64 = 0;
  /** Bit mask of held frames after `acknowledgement`. */
  selective: u32 = 0;
  /** CRC-32C (Castagnoli, as iSCSI: reflected, initial and final inversion) of header, with this field 0, and body. */
  crc: u32 = 0;
}

export const enum Operation {
  /**
   * Link level: carries an acknowledgement only. With a sequence number it is a probe: an empty frame that must be
   * acknowledged.
   */
  ACKNOWLEDGE = 0,
  /**
   * To a kernel. Body: init image with parameters. headerData: the cores of the new task as a mask, 0: as the image's
   * header says; remoteOffset: its rank. Reply LOAD_REPLY: cause, headerData = pid of the new task.
   */
  LOAD = 1,
  LOAD_REPLY = 2,
  /** Service node to a kernel: register and stack dump of every CPU. Reply body: text. */
  STATUS = 3,
  STATUS_REPLY = 4,
  /** Service node to a kernel: end the job. KILL_REPLY follows when nothing of the job's tasks there is left. */
  KILL = 5,
  KILL_REPLY = 6,
  /**
   * Kernel to the kernel of the parent in the job's tree, or to the service node. Body: ExitNotice. The request id is
   * that of the LOAD which ends. With Cause.UNREACHABLE, from any kernel of the job to the service node: the job's node
   * nid `headerData` does not answer.
   */
  EXIT_NOTICE = 7,
  /** Kernel to service node, once. Body: Personality. */
  READY = 8,
  /** Portals. PUT_ACK: headerData = bytes delivered, cause. GET_REPLY: body, cause. */
  PUT = 9,
  PUT_ACK = 10,
  GET = 11,
  GET_REPLY = 12,
  /** Kernel to I/O node and back; bodies in io.ts. */
  IO_REQUEST = 13,
  IO_REPLY = 14,
  /** Kernel to service node: a fault has ended a task. Body: CoreReport (job.ts). No reply. */
  CORE_REPORT = 15,
  /** Service node to a kernel: a signal for the tasks of a job there; headerData = its number. No body, no reply. */
  SIGNAL = 16,
  /**
   * Kernel to I/O node: the IO_REQUEST with this request id is not to wait any longer. If it still waits, it is
   * answered by -EINTR; otherwise nothing happens. No body, no reply of its own.
   */
  IO_CANCEL = 17,
}
// biome-ignore format: a table
export const enum MessageFlag { ACK_WANTED = 1 }

/** Why a request was refused. Every refusal is a reply with one of these causes. */
export const enum Cause {
  OK = 0,
  /** The cores that the load asks for are in use. */
  BUSY = 1,
  /** The header of the init image or its lengths are invalid. */
  BAD_IMAGE = 2,
  NO_MEMORY = 3,
  NOT_PERMITTED = 4,
  NO_SUCH_JOB = 5,
  /** No match entry accepts the PUT or GET. */
  NO_MATCH = 6,
  BAD_REQUEST = 7,
  /** The program could not be opened or read: see LoadStatus.errno. */
  PROGRAM_OPEN = 8,
  /** The file is not a program that this kernel runs. */
  PROGRAM_FORMAT = 9,
  UNREACHABLE = 10,
  KILLED = 11,
  /** The interpreter of a script, or the dynamic linker that the program names, could not be opened or read. */
  PROGRAM_INTERPRETER = 12,
}

/** Why a received frame was dropped (trace event MSG_DROP, counters). */
export const enum DropReason {
  NONE = 0,
  /** Shorter than its headers, or another Ethernet type. */
  NOT_OURS = 1,
  VERSION = 2,
  /** fragmentBytes, totalBytes, fragmentOffset and the frame's length are inconsistent. */
  LENGTHS = 3,
  /** Not for this nid, or the source is not another node of this machine, or an Ethernet address disagrees. */
  NID = 4,
  CRC = 5,
  /** Received before. */
  DUPLICATE = 6,
  /** An earlier frame is missing, and there is no room for this one. */
  OUT_OF_ORDER = 7,
  /** The frame does not continue the message in reassembly. */
  FRAGMENT = 8,
  /** Valid, but there is no buffer for a reply: treated as if the link had lost it. */
  NO_ROOM = 9,
  /**
   * This receiver does not accept the operation, or its body's length is impossible. If the sender waits, it gets
   * BAD_REQUEST.
   */
  OPERATION = 10,
}
