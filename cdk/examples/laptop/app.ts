import { App } from 'aws-cdk-lib';
import { LaptopStack } from './stack';

new LaptopStack(new App(), 'FlameLaptop');
