/**
 * Messages between nodes: Ethernet frame, message header, operations, causes. A frame is EthernetHeader + MessageHeader
 * + up to MAX_FRAGMENT_BYTES of body. All fields are little-endian but the Ethernet type.
 *
 * Reliability, per ordered pair of nids (state machine: kernel/net/reliable.ts and emulator/fabric/reliable.ts):
 * - Data frames carry sequence 1, 2, 3 … (32 bits, wrapping past 0); `acknowledgement` is the highest sequence received
 *   in order, 0 = none.
 * - The receiver delivers in order. It holds frames that arrive early, if it has room, and says so: bit n of
 *   `selective` = the frame n + 1 behind `acknowledgement` is held (bit 0 is never set). A frame that was acknowledged
 *   either way is never asked for again.
 * - The receiver answers every data frame by a data frame of its own or by an ACKNOWLEDGE frame (sequence 0, no body)
 *   within the same interrupt.
 * - At most WINDOW_FRAMES are unacknowledged, acknowledged ones behind a missing one included.
 * - Retransmission timeout: RFC 6298 with Karn's rule. SRTT and RTTVAR come from frames that were sent once; RTO = SRTT
 *   + 4 RTTVAR, at least RTO_MIN_NS, RTO_INITIAL_NS before the first sample. When the oldest frame has waited for RTO
 *   it is sent again, with the missing ones before the last that is held; RTO is doubled, up to RTO_MAX_NS (or what was
 *   measured, if that is more), until the next sample. A frame with LATER_FRAMES or more behind it that are held counts
 *   as lost at once, and is sent again once.
 * - A peer from which nothing sound was heard during RETRY_LIMIT timeouts in a row is given up. A slow one never is.
 * - A frame whose version, lengths, addresses or CRC is wrong is dropped and counted.
 * - Fragments of one message follow each other; fragmentOffset counts up from 0. All have the same fields but
 *   fragmentBytes, fragmentOffset and those of the link. An unfinished message is given up when another begins, or
 *   after INBOUND_SILENCE_NS.
 */
export const ETHERTYPE_MARGAY: u16 = 0x88b5;
export const MESSAGE_VERSION: u8 = 1;
export const MAX_FRAGMENT_BYTES: u32 = 8192;
export const WINDOW_FRAMES: u32 = 32;
export const RTO_INITIAL_NS: u64 = 2_000_000;
export const RTO_MIN_NS: u64 = 1_000_000;
export const RTO_MAX_NS: u64 = 32_000_000;
/** Timeouts in a row without a sign of life: about 1.2 s. */
export const RETRY_LIMIT: u32 = 40;
/** RFC 6675, DupThresh. */
export const LATER_FRAMES: u32 = 3;
/** An unfinished message of which nothing comes for this long is given up. */
export const INBOUND_SILENCE_NS: u64 = 2_000_000_000;
/** Longest message body that a node takes, bytes. */
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

/** 14 bytes of Ethernet and two of padding, so that the header behind it is aligned. */
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
  /** Stamped by the sending kernel, never by a program. */
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
  /** Body bytes in this frame; of the whole message; position of this frame's body in it. */
  fragmentBytes: u32 = 0;
  totalBytes: u32 = 0;
  fragmentOffset: u32 = 0;
  /** Cause of a reply; PUT, GET: unused. */
  cause: u32 = 0;
  sequence: u32 = 0;
  acknowledgement: u32 = 0;
  reserved: u64 = 0;
  /** Frames behind `acknowledgement` that are held. */
  selective: u32 = 0;
  /** CRC-32C (Castagnoli, as iSCSI: reflected, initial and final inversion) of header, with this field 0, and body. */
  crc: u32 = 0;
}

export const enum Operation {
  /**
   * Link level: acknowledges only. With a sequence number it is a probe: it wants to be acknowledged, and says nothing.
   */
  ACKNOWLEDGE = 0,
  /** To a kernel. Body: init image with parameters. Reply LOAD_REPLY: cause, headerData = pid of the new task. */
  LOAD = 1,
  LOAD_REPLY = 2,
  /** Service node to a kernel: register and stack dump of every CPU. Reply body: text. */
  STATUS = 3,
  STATUS_REPLY = 4,
  /** Service node to a kernel: end the job. Reply STATUS of the killing when nothing of the task is left. */
  KILL = 5,
  KILL_REPLY = 6,
  /**
   * Kernel to the kernel of the parent in the job's tree, or to the service node. Body: ExitNotice. With
   * Cause.UNREACHABLE, from any kernel of the job to the service node: nid `headerData`, which the job needs, does not
   * answer.
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
}
// biome-ignore format: a table
export const enum MessageFlag { ACK_WANTED = 1 }

/** Why a request was refused. Every refusal is a reply with one of them. */
export const enum Cause {
  OK = 0,
  /** The cores that the load asks for are owned. */
  BUSY = 1,
  /** Header of the init image or its lengths do not hold. */
  BAD_IMAGE = 2,
  NO_MEMORY = 3,
  NOT_PERMITTED = 4,
  NO_SUCH_JOB = 5,
  /** No match entry accepts the PUT or GET. */
  NO_MATCH = 6,
  BAD_REQUEST = 7,
  /** The program could not be opened or read: LoadStatus.errno says why. */
  PROGRAM_OPEN = 8,
  /** It is no program that this kernel runs. */
  PROGRAM_FORMAT = 9,
  UNREACHABLE = 10,
  KILLED = 11,
  /** The interpreter of a script, or the dynamic linker that the program names, could not be opened or read. */
  PROGRAM_INTERPRETER = 12,
}

/** Why a received frame was dropped (trace event MSG_DROP, counters). */
export const enum DropReason {
  NONE = 0,
  /** Shorter than its headers, or of another Ethernet type. */
  NOT_OURS = 1,
  VERSION = 2,
  /** fragmentBytes, totalBytes, fragmentOffset and the frame's length do not fit together. */
  LENGTHS = 3,
  /** Not for this nid, or the source is no other node of this machine, or an Ethernet address says otherwise. */
  NID = 4,
  CRC = 5,
  /** Received before. */
  DUPLICATE = 6,
  /** An earlier frame is missing, and there is no room to hold this one. */
  OUT_OF_ORDER = 7,
  /** It does not continue the message that is being put together. */
  FRAGMENT = 8,
  /** Sound, but there is nothing left to answer with: as if the link had lost it. */
  NO_ROOM = 9,
  /**
   * The operation is not for this receiver, or its body's length is impossible. What can be answered is answered by
   * BAD_REQUEST.
   */
  OPERATION = 10,
}
