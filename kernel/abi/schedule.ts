/** Scheduling and priorities as programs ask for them. Source: Linux uapi sched.h, resource.h. */
// biome-ignore format: a table
export const enum Policy { OTHER = 0, FIFO = 1, RR = 2, BATCH = 3, IDLE = 5, DEADLINE = 6 }
/** sched_setscheduler: or'ed to the policy. */
export const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;
/** FIFO and RR. */
// biome-ignore format: a table
export const enum RealTimePriority { LOWEST = 1, HIGHEST = 99 }
/** getpriority. */
// biome-ignore format: a table
export const enum PriorityOf { PROCESS = 0, GROUP = 1, USER = 2 }
// biome-ignore format: a table
export const enum Nice { LOWEST = -20, HIGHEST = 19 }
