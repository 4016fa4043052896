/** Registers the shipped calls: those with their own handler, then all other SHIPPED rows of the table. */
import { Route } from "../abi/syscalls.ts";
import { syscallInfos } from "../abi/syscalltable.ts";
import { hasHandler, registerSyscall } from "../syscall/table.ts";
import { controlCallsStart } from "./control.ts";
import { lengthCallsStart } from "./mapping.ts";
import { marshalStart, shipCall } from "./marshal.ts";
import { stagingStart } from "./staging.ts";
import { transferCallsStart } from "./transfer.ts";

export function fileCallsStart(): void {
  stagingStart();
  marshalStart();
  transferCallsStart();
  controlCallsStart();
  lengthCallsStart();
  for (let i: u32 = 0; i < syscallInfos.length; i++) {
    const info = addr(syscallInfos[i]);
    if (info.route === Route.SHIPPED && !hasHandler(info.number)) registerSyscall(info.number, shipCall);
  }
}
