export const table: arr<u64, 3> = [1, 2];
