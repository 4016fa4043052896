/** What a core does without a thread: hlt, until a thread of its is ready. There is no tick. */
import { EventKind } from "../abi/events.ts";
import { waitForInterrupt } from "../arch/cpu.ts";
import { record } from "../arch/trace.ts";
import { currentThread, runThread } from "./task.ts";

/** Drops whatever is on this core's kernel stack and idles. */
export function enterIdle(): void {
  attr({ naked: true, noreturn: true });
  asm`
    cli
    mov rsp, gs:[8]
    xor ebp, ebp
    call ${idleLoop}
    ud2
  `;
}

function idleLoop(): never {
  attr({ inline: "never" });
  record(EventKind.CPU_IDLE, 0, 0, 0, 0);
  for (;;) {
    const thread = currentThread();
    if (atomicLoad(addr(thread.ready)) !== 0) runThread(thread);
    waitForInterrupt();
  }
}
