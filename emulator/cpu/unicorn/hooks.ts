/**
 * All functions that Unicorn calls: TLB fills, exceptions, port and memory-mapped I/O, CPUID, SYSCALL, and the
 * interposed helpers for RDTSC, MSRs, INVLPG and control registers. They are registered once per process. JavaScript
 * runs one core at a time, so they all act on the running core. An exception thrown here cannot cross the C frames: it
 * is kept, the core stops, and `run` throws it.
 */
import { Exception } from "../../abi/x86.ts";
import type { AccessKind } from "../x86/access.ts";
import { WATCH_WRITE } from "../x86/stops.ts";
import { binding, registerCallback, TLB_ACCESS_FIRST, viewMemory, type Wide } from "./binding.ts";
import { running, type UnicornCore } from "./core.ts";
import { interposeArithmetic } from "./arithmetic.ts";
import { interpose } from "./got.ts";
import {
  beforeControlWrite,
  cpuid,
  rdmsr,
  readControl,
  readDebug,
  readPort,
  readTimestamp,
  syscall,
  writeDebug,
  writePort,
  wrmsr,
} from "./instructions.ts";
import type { Callbacks } from "./instance.ts";
import { classify, interest } from "./intercept.ts";
import { interposeTranslator } from "./translator.ts";
import { watchFilter } from "./watchfilter.ts";

const TWO_32 = 0x1_0000_0000;
const low32 = (value: Wide): number => (typeof value === "bigint" ? Number(BigInt.asUintN(32, value)) : value >>> 0);
/** koffi passes 64-bit integers as numbers if they fit; high addresses are negative numbers. */
const high32 = (value: Wide): number =>
  typeof value === "bigint" ? Number(BigInt.asUintN(32, value >> 32n)) : Math.floor(value / TWO_32) >>> 0;
const wide = (value: Wide): bigint => BigInt.asUintN(64, BigInt(value));

let callbacks: Callbacks | undefined;

/**
 * Registers the callbacks and replaces the helpers, once. Must be called before the first instance, which copies their
 * addresses.
 */
export function installHooks(): Callbacks {
  if (callbacks) return callbacks;
  interposeHelpers();
  const resultViews = new Map<Wide, DataView>();

  callbacks = {
    // struct uc_tlb_entry: u64 physical address, u32 permissions
    tlbFill: registerCallback("tlbFill", (_uc: Wide, address: Wide, type: number, result: Wide) =>
      guarded(false, (core) => {
        const page = core.fillTlb(low32(address), high32(address), (type - TLB_ACCESS_FIRST) as AccessKind);
        if (page < 0) return false;
        let view = resultViews.get(result);
        if (!view) {
          view = new DataView(viewMemory(Number(result), 16));
          resultViews.set(result, view);
        }
        view.setUint32(0, page % TWO_32, true);
        view.setUint32(4, page / TWO_32, true);
        view.setUint32(8, core.grantedPermissions, true);
        return true;
      }),
    ),
    interrupt: registerCallback("interrupt", (_uc: Wide, vector: number) =>
      guarded(undefined, (core) => core.noteException(vector)),
    ),
    portIn: registerCallback("portIn", (_uc: Wide, port: number, size: number) =>
      guarded(0, (core) => readPort(core, port, size)),
    ),
    portOut: registerCallback("portOut", (_uc: Wide, port: number, size: number, value: number) =>
      guarded(undefined, (core) => writePort(core, port, size, value)),
    ),
    mmioRead: registerCallback("mmioRead", (_uc: Wide, offset: Wide, size: number, frame: Wide) =>
      guarded<Wide>(0, (core) => core.readDevice(Number(frame) * 4096 + Number(offset), size)),
    ),
    mmioWrite: registerCallback("mmioWrite", (_uc: Wide, offset: Wide, size: number, value: Wide, frame: Wide) =>
      guarded(undefined, (core) =>
        core.writeDevice(Number(frame) * 4096 + Number(offset), size, low32(value), high32(value)),
      ),
    ),
    cpuid: registerCallback("instruction", () => {
      guarded(undefined, cpuid);
      return 1; // handled: the built-in CPUID is skipped
    }),
    syscall: registerCallback("instruction", () => {
      guarded(undefined, syscall);
      return 0;
    }),
    sysenter: registerCallback("instruction", () => {
      guarded(undefined, (core) => core.raise(Exception.UD, 0));
      return 0;
    }),
  };
  return callbacks;
}

function guarded<Result>(whenThrown: Result, action: (core: UnicornCore) => Result): Result {
  const core = running.core;
  if (!core) return whenThrown;
  try {
    return action(core);
  } catch (error) {
    core.abort(error);
    return whenThrown;
  }
}

/** CPUID does not announce RDRAND, and it would read the host's randomness: #UD, as on a processor without it. */
function interposeHelpers(): void {
  const { library } = binding();
  const invlpg = library.func("void helper_invlpg_x86_64(uint64_t env, uint64_t address)") as (
    env: Wide,
    address: Wide,
  ) => void;
  const writeControl = library.func("void helper_write_crN_x86_64(uint64_t env, int index, uint64_t value)") as (
    env: Wide,
    index: number,
    value: Wide,
  ) => void;

  const loadMxcsr = library.func("void helper_ldmxcsr_x86_64(uint64_t env, uint32_t value)") as (
    env: Wide,
    value: number,
  ) => void;

  interpose("helper_rdtsc_x86_64", "helper", () => guarded(undefined, (core) => readTimestamp(core, false)));
  interpose("helper_rdtscp_x86_64", "helper", () => guarded(undefined, (core) => readTimestamp(core, true)));
  interpose("helper_rdmsr_x86_64", "helper", () => guarded(undefined, rdmsr));
  interpose("helper_wrmsr_x86_64", "helper", () => guarded(undefined, wrmsr));
  interpose("helper_rdrand_x86_64", "helperValue", () => {
    guarded(undefined, (core) => core.raise(Exception.UD, 0));
    return 0;
  });
  // Unicorn's own delivery. runToWindow requests it only to learn when it would have happened.
  interpose("do_interrupt_x86_hardirq_x86_64", "deliverInterrupt", () =>
    guarded(undefined, (core) => core.noteWindow()),
  );
  // The only debug exceptions are the breakpoints of our own list (breakpoints.ts).
  interpose("breakpoint_handler_x86_64", "debugException", () =>
    guarded(undefined, (core) => core.noteDebugException()),
  );
  interposeArithmetic();
  interposeTranslator(interest, (address: Wide, flags: number) =>
    guarded(0, (core) => classify(core, wide(address), flags)),
  );
  watchFilter().interpose(
    registerCallback("checkWatchpoint", (_cpu: Wide, address: Wide, length: Wide, _attributes: number, flags: number) =>
      guarded(undefined, (core) =>
        core.noteAccess(low32(address), high32(address), Number(length), (flags & WATCH_WRITE) !== 0),
      ),
    ),
  );
  interpose("helper_invlpg_x86_64", "helperAddress", (env: Wide, address: Wide) =>
    guarded(undefined, (core) => {
      if (!core.invalidatePage(low32(address), high32(address))) invlpg(env, address);
    }),
  );
  interpose("helper_write_crN_x86_64", "helperWriteControl", (env: Wide, index: number, value: Wide) =>
    guarded(undefined, (core) => {
      if (beforeControlWrite(core, index, wide(value))) writeControl(env, index, value);
    }),
  );
  interpose("helper_set_dr_x86_64", "helperWriteControl", (_env: Wide, index: number, value: Wide) =>
    guarded(undefined, (core) => writeDebug(core, index, wide(value))),
  );
  interpose("helper_get_dr_x86_64", "helperReadControl", (_env: Wide, index: number) =>
    guarded<Wide>(0, (core) => readDebug(core, index)),
  );
  interpose("helper_ldmxcsr_x86_64", "helperNumber", (env: Wide, value: number) =>
    guarded(undefined, (core) => {
      if (value >>> 16) core.raise(Exception.GP, 0);
      else loadMxcsr(env, value);
    }),
  );
  interpose("helper_read_crN_x86_64", "helperReadControl", (_env: Wide, index: number) =>
    guarded<Wide>(0, (core) => readControl(core, index)),
  );
}
